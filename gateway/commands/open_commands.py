"""The commands of our lanes that are open, and those settled lately: what this process knows of them."""

from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import AbstractAsyncContextManager, nullcontext
from math import inf
from uuid import UUID

from msgspec import Struct

from firmware_protocol.commands import AckResult
from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import shard_of
from gateway.command_ports import CommandRecord, HeardAck, TimelineEntry
from gateway.commands.in_flight import LATE_ANSWERS_MS, WATCH_MS, Flight, Probe, deadline_of, next_frame_ms
from gateway.core.command import OUT, SETTLED, Happening, Phase

AWAITED = OUT | {Phase.UNCONFIRMED}
"""Sent, and not settled."""


class OpenCommand(Struct):
    """One command in memory; the store is the truth, this is what was last heard of it."""

    record: CommandRecord
    flight: Flight | None = None
    """None when no frame may leave any more in this life, or none may yet."""
    frame: bytes = b""
    lines: tuple[TimelineEntry, ...] = ()
    """Not yet in the store: written with its next move, at the latest by the next turn of the dispatcher."""
    undone: bool = False
    """A report made after `not_after` showed it not executed."""
    answers: tuple[HeardAck, ...] = ()
    """Heard from the device and told to nobody yet: they go with its next move."""
    answered: tuple[int, str] | None = None
    """Result and reason of the newest ack that was told."""
    probe: Probe | None = None
    incidents: frozenset[str] = frozenset()
    """Kinds that are in the store."""
    is_spoken_of: bool = False
    """Its device has answered it, though nobody here knew of it."""

    @property
    def is_settled(self) -> bool:
        return self.record.phase in SETTLED

    @property
    def due_ms(self) -> float:
        """When its next frame may leave or waiting ends; infinity for a settled one, and for one that only waits to be
        given up, which need not be to the minute."""
        record = self.record
        end = deadline_of(record.phase, record.issued_ms, record.not_after_ms)
        end_ms = inf if end is None or end[1] is Happening.ABANDON else end[0]
        if self.flight is None or record.phase is not Phase.SENT:
            return end_ms
        frame_ms = next_frame_ms(self.flight)
        return end_ms if frame_ms is None else min(end_ms, frame_ms)

    def is_unanswered(self, now_ms: int) -> bool:
        """It was sent, and the device's last word on it may still come, whatever its sensors have said meanwhile."""
        was_sent = self.record.sent_ms is not None
        said_last = self.answered is not None and self.answered[0] != AckResult.ACCEPTED
        return was_sent and not said_last and now_ms < self.record.not_after_ms + LATE_ANSWERS_MS

    def add_line(self, at_ms: int, what: str, **detail: bool | int | str) -> None:
        self.lines = (*self.lines, TimelineEntry(at_ms, what, self.record.phase, detail))


class OpenCommands:
    """By id and by device. Bounded by what the store lets be open (one one-shot per slot) and by WATCH_MS."""

    def __init__(self) -> None:
        self.stirred: Callable[[], None] = lambda: None
        """Called when the dispatcher has something new to look at."""
        self.answers_told: Callable[[], None] = lambda: None
        """Called when answers of a device were told."""
        self.lanes: set[int] = set()
        """Those of which everything that is open, or was lately, is known here."""
        self.moving: AbstractAsyncContextManager[object] = nullcontext()
        """Held while commands are judged and moved; a lock spares those who wait a judgement that is out of date."""
        self._by_id: dict[UUID, OpenCommand] = {}
        self._waiting: dict[UUID, OpenCommand] = {}
        """Those that still wait for something; in a busy hour far fewer than are watched."""
        self._issued: dict[UUID, OpenCommand] = {}
        """Those nobody has claimed yet."""
        self._watched: dict[UUID, OpenCommand] = {}
        """Settled, in the order it was heard."""
        self._by_device: dict[int, list[UUID]] = {}
        self._probes: dict[UUID, UUID] = {}

    @property
    def devices(self) -> Set[int]:
        """device_no of every device with something open or watched."""
        return self._by_device.keys()

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[OpenCommand]:
        """Those that are not settled, or have lines to write."""
        return iter(list(self._waiting.values()))

    def issued(self) -> list[CommandRecord]:
        """Those nobody has claimed yet, in the order they became known."""
        return [one.record for one in self._issued.values()]

    def get(self, command_id: UUID) -> OpenCommand | None:
        return self._by_id.get(command_id)

    def of_device(self, device_no: int) -> list[OpenCommand]:
        """In the order they became known."""
        return [self._by_id[command_id] for command_id in self._by_device.get(device_no, ())]

    def is_awaited(self, device_no: int) -> bool:
        """Whether one of this device's commands was sent and is not settled: its sensors have the last word."""
        return any(one.record.phase in AWAITED for one in self.of_device(device_no))

    def learn(self, record: CommandRecord, *, is_spoken_of: bool = False) -> OpenCommand:
        """What the store says now; an older word than the one known changes nothing. Of what ended before it was sent
        nothing is expected, and nothing kept, unless its device speaks of it: it has done what it must not."""
        known = self._by_id.get(record.command_id)
        if known is None:
            known = self._by_id[record.command_id] = self._waiting[record.command_id] = OpenCommand(record)
            self._by_device.setdefault(record.device_no, []).append(record.command_id)
        elif record.revision > known.record.revision:
            known.record = record
        known.is_spoken_of |= is_spoken_of
        if known.record.phase is Phase.ISSUED:
            self._issued[record.command_id] = known
        else:
            self._issued.pop(record.command_id, None)
        if known.is_settled:
            known.flight, known.probe, known.frame = None, None, b""
            if not known.lines:
                self._waiting.pop(record.command_id, None)
                self._watched.setdefault(record.command_id, known)
            if known.record.sent_ms is None and not known.is_spoken_of:
                self.forget(record.command_id)
        return known

    def forget(self, command_id: UUID) -> None:
        gone = self._by_id.pop(command_id, None)
        self._waiting.pop(command_id, None)
        self._issued.pop(command_id, None)
        self._watched.pop(command_id, None)
        if gone is not None:
            others = self._by_device[gone.record.device_no]
            others.remove(command_id)
            if not others:
                del self._by_device[gone.record.device_no]
            for probe_id in [probe for probe, of in self._probes.items() if of == command_id]:
                del self._probes[probe_id]  # few: only models that ignore expiry are asked

    def forget_lanes(self, lanes: Iterable[int]) -> None:
        """They are another's now."""
        gone = frozenset(lanes)
        self.lanes -= gone
        for one in list(self._by_id.values()):
            if shard_of(one.record.device_id) in gone:
                self.forget(one.record.command_id)

    def forget_watched(self, now_ms: int) -> None:
        """Commands settled so long ago that nothing more is expected of them."""
        for one in list(self._watched.values()):
            if now_ms - (one.record.settled_ms or 0) >= WATCH_MS:
                self.forget(one.record.command_id)

    def asked(self, probe_id: UUID, command_id: UUID, probe: Probe) -> None:
        """A probe left for the device of this command."""
        self._by_id[command_id].probe = probe
        self._probes[probe_id] = command_id

    def probe_answered(self, probe_id: UUID, device_id: DeviceId) -> bool:
        """True when it was one of ours; only the newest one counts."""
        one = self._by_id.get(self._probes.get(probe_id, probe_id))
        if probe_id not in self._probes or one is None or one.record.device_id != device_id:
            return False
        newest = next(reversed([p for p, of in self._probes.items() if of == one.record.command_id]))
        if one.probe is not None and newest == probe_id and not one.probe.answered:
            one.probe = Probe(one.probe.number, one.probe.asked_ms, answered=True)
            self.stirred()
        return True
