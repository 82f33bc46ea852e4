"""What commands need of the world: where they are kept, keys, and the wire they leave by."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from firmware_protocol.commands import Ack, CommandKind
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.messages import DeviceId
from gateway.core.command import Happening, Phase
from gateway.core.device import DeviceRecord
from gateway.core.live_state import LiveState
from gateway.ports import Delivery


class CommandRecord(Struct, frozen=True, gc=False):
    """One command as PostgreSQL has it."""

    command_id: UUID
    operator_id: int
    device_no: int
    device_id: DeviceId
    model: str
    firmware: str
    """As the live state had it at issue; for percentiles."""
    kind: CommandKind
    slot: int
    settings: Mapping[str, bool | int | str]
    boot: int
    fence: int
    issued_ms: int
    not_after_ms: int
    """A whole second; the frame says the same."""
    phase: Phase
    revision: int
    """Counts its moves; compared and set by it."""
    lease_no: int = 0
    """Of the lane's owner that recorded SENT; 0 before."""
    sent_ms: int | None = None
    settled_ms: int | None = None
    reason: str = ""
    """Why it ended as it did: a code of the device or of ours; empty while nothing needs saying."""
    requested_by: str = ""
    """The principal, as `role:subject`."""
    claim_id: str = ""
    openings_before: int | None = None
    """The slot's count of openings in the live state at issue; None when the model has none."""
    unit_before: str = ""
    """The unit in the slot at issue; empty when none was seen."""


class TimelineEntry(Struct, frozen=True):
    """One line in the story of a command. Append-only."""

    at_ms: int
    what: str
    """Before it left: requested, issued, probed, claimed, expired, cancelled. On its way: published, published_again,
    broker_ack, device_ack, deadline. At its end: evidence, contradiction, incident, abandoned, settled."""
    phase: Phase
    """After it."""
    detail: Mapping[str, bool | int | str] = {}


class Incident(Struct, frozen=True):
    """Something that must never happen, and did: `executed_late`, `executed_twice`, `executed_after_all`,
    `evidence_contradicts_ack`, `ack_without_command`. A store keeps one per command and kind: a second one changes
    nothing."""

    device_no: int
    operator_id: int
    kind: str
    at_ms: int
    command_id: UUID | None = None
    detail: Mapping[str, bool | int | str] = {}


class Move(Struct, frozen=True):
    """One step of one command, compared and set by revision, which rises by one with every move; `to` equal to the
    present phase only adds lines and incidents, also to a settled command."""

    command_id: UUID
    from_revision: int
    happening: Happening | None
    to: Phase
    entries: Sequence[TimelineEntry]
    reason: str = ""
    """Replaces the command's reason unless empty. `settled_ms` is the time of the last entry when `to` is settled
    and the phase before was not."""
    incidents: Sequence[Incident] = ()


class NewCommand(Struct, frozen=True):
    """What is to be issued; the store gives the fence."""

    command_id: UUID
    device: DeviceRecord
    firmware: str
    kind: CommandKind
    slot: int
    settings: Mapping[str, bool | int | str]
    requested_ms: int
    issued_ms: int
    not_after_ms: int
    requested_by: str
    why: str
    idempotency_key: str
    request_digest: bytes
    """SHA-256 of what was asked, so that the same key with another body is told apart."""
    claim_id: str = ""
    last_fence: int = 0
    """Of the slot, in the state that `openings_before` and `unit_before` are from: the store drops both when a
    one-shot with a higher fence was CONFIRMED, EXECUTED_LATE or ABANDONED in that slot, since they are older."""
    openings_before: int | None = None
    """None as well when the state was not the live one. A one-shot with a count is not issued on a state that is older
    than what was CONFIRMED or EXECUTED_LATE in that slot since the device's boot."""
    unit_before: str = ""


class Issued(Struct, frozen=True):
    """It exists now; or existed before, under the same key with the same body (`repeated`)."""

    command: CommandRecord
    repeated: bool = False


class KeyReused(Struct, frozen=True):
    """The same Idempotency-Key stands for another body."""

    command_id: UUID


class SlotBusy(Struct, frozen=True):
    """A one-shot for that slot is not settled. Which one is told to its own operator only: both are None to another,
    whose device it has become since."""

    command_id: UUID | None
    phase: Phase | None


class DeviceChanged(Struct, frozen=True):
    """The device is not as the wish knows it: its status, its model, its operator or its boot is another by now, or it
    has opened for a command that is settled and whose effect its live state does not show yet. Nothing was issued, and
    the key stands for nothing: look at the device, and at its state, again."""


IssueOutcome = Issued | KeyReused | SlotBusy | DeviceChanged


class CommandDesk(Protocol):
    """The side of the API: issue, look, wait, cancel. All raise StoreUnavailable; `cancel` and `abandon` KeyError for
    a command that never was."""

    async def already(self, principal: str, key: str, digest: bytes) -> Issued | KeyReused | None:
        """What the key stands for, so that no condition stands against a repetition."""

    async def issue(self, new: NewCommand) -> IssueOutcome:
        """One transaction: fence, command, timeline (`requested`, `issued`), key, audit row, NOTIFY
        `lk_cmd_{lane}` that tells it. The key is looked at before the slot, and the slot before the device.
        Committed on return."""

    async def find(self, command_id: UUID) -> CommandRecord | None: ...

    async def timeline(self, command_id: UUID) -> Sequence[TimelineEntry]: ...

    async def of_device(
        self, device_no: int, operator_id: int, *, before: UUID | None, limit: int
    ) -> Sequence[CommandRecord]:
        """Of this operator, newest first, older than `before`; none when the device has no such command."""

    async def cancel(self, command_id: UUID, at_ms: int, by: str, why: str) -> CommandRecord:
        """Cancelled when it was ISSUED, else unchanged: what was sent cannot be taken back."""

    async def abandon(self, command_id: UUID, at_ms: int, by: str, why: str) -> CommandRecord:
        """ABANDONED when it was UNCONFIRMED, else unchanged."""

    async def settled(
        self, command_id: UUID, *, timeout_s: float, known: CommandRecord | None = None
    ) -> CommandRecord | None:
        """Returns once it is settled or UNCONFIRMED, else as it stands after the time; None when there is none.
        Woken by NOTIFY `lk_settled`, which tells it. `known` as whoever ordered it a moment ago has it: spares a
        look before waiting."""


class CommandStore(Protocol):
    """The side of the owner of a lane. All raise StoreUnavailable."""

    async def open_of(self, lanes: Sequence[int]) -> Sequence[CommandRecord]:
        """Every command that is not settled, at a take-over of lanes."""

    async def waiting(self, lanes: Sequence[int]) -> Sequence[CommandRecord]:
        """ISSUED ones, oldest first, those past `not_after` too; at most 1,000 per call: the poll that heals a
        missed notice."""

    async def settled_since(self, lanes: Sequence[int], since_ms: int) -> Sequence[CommandRecord]:
        """Those that were sent and settled since then: a device may still execute one again, or after all."""

    async def claim(
        self,
        commands: Sequence[CommandRecord],
        owner: str,
        leases: Mapping[int, int],
        at_ms: int,
        *,
        meanwhile: Callable[[], None] | None = None,
    ) -> Sequence[CommandRecord]:
        """Those now SENT: were ISSUED, not past `not_after` by the database's own clock too, and the lane is
        still `owner`'s with that lease number, compared and set in one transaction; by phase, not by revision,
        which rises by one. Sets `sent_ms` and `lease_no`, adds the line `claimed`. Committed on return. When it
        raises, they may be SENT all the same. `meanwhile` is called once while the store works, before it is known
        whether anything is claimed; not where nothing can be."""

    async def move(self, moves: Sequence[Move]) -> Mapping[UUID, CommandRecord]:
        """Those that moved, as they are now; the others were moved by someone else, or are to be ABANDONED though
        they were issued less than a day ago by the store's clock. One transaction, with timeline, incidents and NOTIFY
        `lk_settled`. Committed on return."""

    async def reread(self, command_ids: Sequence[UUID]) -> Mapping[UUID, CommandRecord]:
        """As they are now."""


class DeviceKeys(Protocol):
    """The keys of devices, unwrapped; from memory where it can."""

    async def load(self, device_nos: Sequence[int]) -> Mapping[int, Sequence[DeviceKey]]:
        """Newest first; the first signs, all verify (a rotation overlaps). Devices without a key are missing.
        Raises StoreUnavailable."""


class NoKeys:
    """For a gateway whose devices have none: they get plain welcomes, and no commands."""

    async def load(self, device_nos: Sequence[int]) -> Mapping[int, Sequence[DeviceKey]]:
        return {}


class HeldLanes(Protocol):
    """Which lanes are ours, as far as this process knows."""

    def lease_of(self, lane: int) -> int | None:
        """The lease number; None when the lane is not ours or the lease is over by our own clock."""


class LiveStateOf(Protocol):
    """What Redis believes now."""

    async def get(self, device_id: DeviceId) -> LiveState | None:
        """Raises StoreUnavailable."""


class SavedStateOf(Protocol):
    """What PostgreSQL last saved of a device: the way to its state while Redis is away."""

    async def saved(self, device_no: int) -> LiveState | None:
        """At most about a minute old while the device reports. Raises StoreUnavailable."""


class ArrivedAck(Struct, frozen=True, gc=False):
    """An ack as the edge hands it on: still sealed, since only a flow has keys."""

    lane: int
    device_id: DeviceId
    frame: bytes
    topic: str
    received_ms: int
    delivery: Delivery


class HeardAck(Struct, frozen=True, gc=False):
    """An ack whose seal was good."""

    device: DeviceRecord
    ack: Ack
    received_ms: int
    arrived: ArrivedAck


class CommandLink(Protocol):
    """The way to the device. Calls only queue bytes."""

    def publish_command(self, lane: int, topic: str, payload: bytes, *, tag: UUID | None) -> bool:
        """Not retained, on the lane's own `-now` session; False when it is down and nothing was sent.
        Without a tag QoS 0; with one QoS 1, and the broker's PUBACK is told as `broker_acked(tag)`. QoS 1 is
        never sent again by us after a reconnect: the dispatcher decides about repetitions."""
