"""A way for commands that remembers what left, and whether it was up."""

from uuid import UUID

from gateway.command_ports import CommandRecord
from tests.support.fakes.interruptions import Interruptions


class FakeCommandLink:
    """Implements `CommandLink` and `HeldLanes`."""

    def __init__(self, interruptions: Interruptions | None = None) -> None:
        self.up = True
        self.leases: dict[int, int] = dict.fromkeys(range(16), 1)
        self.published: list[tuple[str, bytes, UUID | None]] = []
        self._interruptions = interruptions or Interruptions()

    def publish_command(self, lane: int, topic: str, payload: bytes, *, tag: UUID | None) -> bool:
        if self.up:
            self._interruptions.note("link.publish_command")
            self.published.append((topic, payload, tag))
        return self.up

    def lease_of(self, lane: int) -> int | None:
        return self.leases.get(lane)


class FakeCommandCounters:
    """Implements `CommandCounters`."""

    def __init__(self) -> None:
        self.wishes: list[str] = []
        self.ends: list[str] = []
        self.incidents: list[str] = []
        self.bad_acks: list[str] = []
        self.frames: list[bool] = []
        self.open = 0

    def issued(self, outcome: str) -> None:
        self.wishes.append(outcome)

    def ended(self, command: CommandRecord) -> None:
        self.ends.append(command.phase.value)

    def incident(self, kind: str) -> None:
        self.incidents.append(kind)

    def ack_refused(self, reason: str) -> None:
        self.bad_acks.append(reason)

    def sent(self, *, again: bool) -> None:
        self.frames.append(again)

    def open_now(self, count: int) -> None:
        self.open = count
