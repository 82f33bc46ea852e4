"""The straight line from an issued command to its frame on the wire: take, claim, publish, repeat, give up."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from uuid import UUID

from msgspec import Struct, structs

from firmware_protocol.device_key import DeviceKey
from firmware_protocol.topics import command_topic, shard_of
from gateway.command_counters import CommandCounters
from gateway.command_ports import CommandLink, CommandRecord, CommandStore, DeviceKeys, HeldLanes
from gateway.commands.frames import is_one_shot, is_sent_once, needs_probe, sign_all, signed_frame
from gateway.commands.in_flight import (
    FIRST_REPEAT_MS,
    WATCH_MS,
    Flight,
    deadline_of,
    may_send,
    next_frame_ms,
    postponed,
)
from gateway.commands.moves import MovePorts, Telling, nothing_more, tell, waited_long_enough
from gateway.commands.open_commands import OpenCommand, OpenCommands
from gateway.commands.readiness import ReadyPorts, ready_of
from gateway.core.command import Phase
from gateway.ports import Clock, Registry

POLL_MS = 1_000
"""Heals a missed notice."""

RECONCILE_MS = 10_000
"""Finds what a claim left behind whose answer was lost, and what a person ended."""

SWEEP_MS = 250
"""Between two walks over all that is open: what is new has its first copy and its deadline later than that."""

GIVE_UP_MS = 60_000
"""Between two looks for what has been silent for a day; the store says no while its own clock does not say so."""

SWEPT_PER_MS = 100
"""A fleet of 100,000 that fell silent is walked over once a second, which takes a tenth of it."""


class DispatchPorts(Struct, frozen=True):
    """What the dispatcher needs of the world."""

    store: CommandStore
    registry: Registry
    keys: DeviceKeys
    link: CommandLink
    lanes: HeldLanes
    clock: Clock
    counters: CommandCounters
    open: OpenCommands
    owner: str
    """The gateway's name, as its leases have it."""


class Dispatch:
    """`turn` is called after a notice, at `next_due_ms`, and again after it has raised; never twice at once."""

    def __init__(self, ports: DispatchPorts) -> None:
        self.opened: Callable[[frozenset[int]], None] = lambda lanes: None
        """Hears of lanes whose open commands are known: from here on no evidence for them is missed."""
        self.published: Callable[[], None] = lambda: None
        """Called when a frame has left: its device will answer."""
        self._ports = ports
        self._moving = MovePorts(ports.store, ports.open, ports.counters)
        self._to_open: set[int] = set()
        self._doubtful: set[UUID] = set()
        """Claimed, perhaps: the store's answer was lost."""
        self._look_ms = 0
        self._reconcile_ms = 0
        self._give_up_ms = 0
        self._sweep_ms: float = 0
        self._turned_ms = 0

    def lanes_taken(self, lanes: Iterable[int]) -> None:
        """They are ours: what is open there is read in the next turn."""
        self._to_open.update(lanes)
        self._look_ms = 0
        self._sweep_ms = 0

    def lanes_lost(self, lanes: Iterable[int]) -> None:
        """They are another's, who judges from now on."""
        gone = set(lanes)
        self._to_open -= gone
        self._ports.open.forget_lanes(gone)
        self._doubtful = {one for one in self._doubtful if self._ports.open.get(one) is not None}

    def noticed(self, record: CommandRecord | None = None) -> None:
        """Something was issued: the next turn takes the command that the notice tells, or looks."""
        if record is None:
            self._look_ms = 0
        elif shard_of(record.device_id) in self._ports.open.lanes:
            self._ports.open.learn(record)

    def broker_acked(self, tag: UUID, reason: str = "success") -> None:
        """The broker has answered a QoS 1 frame of this command."""
        one = self._ports.open.get(tag)
        if one is not None and not one.is_settled:
            one.add_line(self._ports.clock.now_ms(), "broker_ack", reason=reason)

    def next_due_ms(self) -> float:
        """Unix ms of the next turn that has something to do."""
        return min(self._look_ms, self._reconcile_ms, self._sweep_ms)

    async def turn(self) -> None:
        """Everything that is due. Raises StoreUnavailable; frames that may leave have left all the same."""
        now_ms = self._ports.clock.now_ms()
        if now_ms < self._turned_ms:
            self._clock_went_back(self._turned_ms - now_ms)
        self._turned_ms = now_ms
        is_sweep = now_ms >= self._sweep_ms
        if is_sweep:
            self._repeat_frames()
        await self._open_lanes()
        await self._resolve_doubts()
        await self._send_new()
        if is_sweep:
            await self._end_waiting()
            self._plan_sweep()

    async def write_lines(self) -> None:
        """What no move has written yet, before the process ends. Raises StoreUnavailable."""
        tellings = {one.record.command_id: nothing_more for one in self._ports.open if one.lines}
        await tell(tellings, self._moving)

    def _clock_went_back(self, ms: int) -> None:
        """Whatever was planned by it would else wait until it is as late again as it was."""
        self._look_ms = self._reconcile_ms = self._give_up_ms = 0
        self._sweep_ms = 0
        for one in self._ports.open:
            if one.flight is not None:
                one.flight = structs.replace(one.flight, first_ms=one.flight.first_ms - ms)
            if one.probe is not None:
                one.probe = structs.replace(one.probe, asked_ms=one.probe.asked_ms - ms)

    # --- lanes -----------------------------------------------------------------------------------

    async def _open_lanes(self) -> None:
        """At a take-over: full devices hear the same bytes again, others wait for what their sensors say."""
        ports, now_ms = self._ports, self._ports.clock.now_ms()
        lanes = sorted(self._to_open)
        if lanes:
            # In this order: one that is settled between the two is in the second answer.
            records = await ports.store.open_of(lanes)
            for record in self._ours(await ports.store.settled_since(lanes, now_ms - WATCH_MS)):
                ports.open.learn(record)
            await self._resume([record for record in records if record.phase is not Phase.ISSUED])
            opened = frozenset(self._to_open.intersection(lanes))
            ports.open.lanes |= opened
            self._to_open -= opened
            self.opened(opened)
        elif now_ms >= self._reconcile_ms:
            self._reconcile_ms = now_ms + RECONCILE_MS
            for record in self._ours(await ports.store.open_of(sorted(ports.open.lanes))):
                if record.phase is not Phase.ISSUED:
                    ports.open.learn(record)
            ports.open.forget_watched(now_ms)

    async def _resume(self, records: Sequence[CommandRecord]) -> None:
        await self._ports.registry.load([record.device_id for record in records])
        keys = await self._ports.keys.load([record.device_no for record in records])
        for record in self._ours(records):
            one = self._ports.open.learn(record)
            model = self._ports.registry.model(record.model)
            held = keys.get(record.device_no)
            if record.phase is Phase.SENT and held and not is_sent_once(record, model):
                # Perhaps it was never published: then this is the first copy, else one more of the same.
                one.frame = signed_frame(record, held[0])
                first_ms = self._ports.clock.now_ms() - FIRST_REPEAT_MS
                one.flight = Flight(first_ms, 1, record.not_after_ms, once=False)

    def _ours(self, records: Iterable[CommandRecord]) -> list[CommandRecord]:
        """Of a lane that was lost while the store worked nothing may be known here: it would never be forgotten, and
        its waiting ended by the clock of one who does not own it."""
        lanes = self._ports.open.lanes | self._to_open
        return [record for record in records if shard_of(record.device_id) in lanes]

    # --- new commands ----------------------------------------------------------------------------

    async def _send_new(self) -> None:
        ports, now_ms = self._ports, self._ports.clock.now_ms()
        if now_ms >= self._look_ms:
            self._look_ms = now_ms + POLL_MS
            for record in self._ours(await ports.store.waiting(sorted(ports.open.lanes))):
                ports.open.learn(record)
        waiting = ports.open.issued()
        if not waiting:
            return
        await ports.registry.load([record.device_id for record in waiting])
        keys = await ports.keys.load([record.device_no for record in waiting])
        ready = ready_of(waiting, keys, ReadyPorts(ports.registry, ports.link, ports.clock, ports.open))
        if ready.is_asking:
            self._look_ms = min(self._look_ms, ports.clock.now_ms() + POLL_MS // 4)
        if found := ready.records:
            await self._claim(found, {record.command_id: keys[record.device_no][0] for record in found})

    async def _claim(self, ready: Sequence[CommandRecord], keys: dict[UUID, DeviceKey]) -> None:
        """SENT is committed before the first byte leaves: a crash in between must look like "maybe sent"."""
        ports = self._ports
        lanes = {shard_of(record.device_id) for record in ready}
        held = {lane: number for lane in lanes if (number := ports.lanes.lease_of(lane)) is not None}
        ids = {record.command_id for record in ready}
        self._doubtful |= ids
        frames: dict[UUID, bytes] = {}
        sign = partial(sign_all, ready, keys, frames)  # nothing of what is signed changes by the claim
        claimed = await ports.store.claim(ready, ports.owner, held, ports.clock.now_ms(), meanwhile=sign)
        self._doubtful -= ids
        for record in self._ours(claimed):
            self._begin(record, frames[record.command_id])

    async def _resolve_doubts(self) -> None:
        """This process has not published them, whatever the store has committed."""
        if not self._doubtful:
            return
        records = await self._ports.store.reread(sorted(self._doubtful))
        keys = await self._ports.keys.load([record.device_no for record in records.values()])
        for record in records.values():
            held = keys.get(record.device_no)
            # Of a lane that was lost nothing is in doubt any more. A session that is down is no loss: the frame waits.
            if record.phase is Phase.SENT and held and record.command_id in self._doubtful:
                self._begin(record, signed_frame(record, held[0]))
        self._doubtful.clear()

    # --- frames ----------------------------------------------------------------------------------

    def _begin(self, record: CommandRecord, frame: bytes) -> None:
        """In the same turn of the loop as the answer of the store: the deadline and the lane are looked at again."""
        one = self._ports.open.learn(record)
        if one.record.phase is Phase.SENT:
            one.frame = frame
            once = is_sent_once(record, self._ports.registry.model(record.model))
            one.flight = Flight(self._ports.clock.now_ms(), 0, record.not_after_ms, once)
            self._send(one)

    def _repeat_frames(self) -> None:
        now_ms = self._ports.clock.now_ms()
        for one in self._ports.open:
            if one.flight is not None and one.record.phase is Phase.SENT:
                due_ms = next_frame_ms(one.flight)
                if due_ms is None:
                    one.flight = None
                elif due_ms <= now_ms:
                    self._send(one)

    def _send(self, one: OpenCommand) -> None:
        ports, flight, record = self._ports, one.flight, one.record
        now_ms, lane = ports.clock.now_ms(), shard_of(record.device_id)
        lease_no = ports.lanes.lease_of(lane)
        claim_is_old = lease_no is not None and lease_no != record.lease_no
        if flight is None or now_ms >= record.not_after_ms or (claim_is_old and flight.frames == 0):
            one.flight = None
            return
        if needs_probe(record, ports.registry.model(record.model)) and not may_send(one.probe, now_ms):
            # The claim, or the link, took too long. Recorded as sent it cannot be asked about again: it ends in doubt.
            one.flight = None
            return
        topic = command_topic(record.device_id)
        tag = None if is_one_shot(record) else record.command_id
        if lease_no is None or not ports.link.publish_command(lane, topic, one.frame, tag=tag):
            one.flight = postponed(flight, now_ms)
            return
        again = flight.frames > 0
        one.flight = structs.replace(flight, frames=flight.frames + 1)
        one.add_line(now_ms, "published_again" if again else "published", copy=flight.frames + 1)
        ports.counters.sent(again=again)
        self.published()

    async def _end_waiting(self) -> None:
        """Deadlines, and lines that nothing else has written."""
        now_ms = self._ports.clock.now_ms()
        tellings: dict[UUID, Telling] = {}
        gives_up = now_ms >= self._give_up_ms
        if gives_up:
            self._give_up_ms = now_ms + GIVE_UP_MS
        for one in self._ports.open:
            record = one.record
            end = deadline_of(record.phase, record.issued_ms, record.not_after_ms)
            is_over = end is not None and end[0] <= now_ms
            if is_over and (gives_up or record.phase is not Phase.UNCONFIRMED):
                tellings[record.command_id] = partial(waited_long_enough, now_ms)
            elif one.lines and now_ms - one.lines[0].at_ms >= POLL_MS:
                tellings[record.command_id] = nothing_more
        if tellings:
            await tell(tellings, self._moving)

    def _plan_sweep(self) -> None:
        """One walk over all that is open. What begins meanwhile has nothing to do before the next one."""
        known = list(self._ports.open)
        self._ports.counters.open_now(sum(not one.is_settled for one in known))
        next_ms = self._ports.clock.now_ms() + SWEEP_MS + len(known) // SWEPT_PER_MS
        self._sweep_ms = min([next_ms, *(one.due_ms for one in known)])
