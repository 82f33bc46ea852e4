"""One gateway process of the simulation: the real flows, wired as the composition root does it, over stores that
are slow, away, or answer after the process has died."""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from itertools import count
from typing import Any, Generic, TypeVar, cast
from uuid import UUID

from firmware_protocol.codec import decode_hello, decode_report, encoding_of
from firmware_protocol.topics import Channel
from gateway.command_ports import ArrivedAck
from gateway.commands.dispatch import Dispatch, DispatchPorts
from gateway.commands.moves import MovePorts
from gateway.commands.open_commands import OpenCommands
from gateway.commands.settle import SettleByEvidence
from gateway.commands.take_acks import AckPorts, take_acks
from gateway.ingest.beliefs import Beliefs, LaneTrouble
from gateway.ingest.evidence_ahead import EvidenceAhead
from gateway.ingest.evidence_at_once import EvidenceAtOnce
from gateway.ingest.fresh_ids import FreshIdPorts, FreshIds
from gateway.ingest.rebuild import RebuildPorts, rebuild_shard
from gateway.ingest.silence_wheel import SilenceWheel
from gateway.ingest.take_hellos import HelloPorts, take_hellos
from gateway.ingest.take_reports import ReportPorts, TakeReports
from gateway.ports import Arrived, ArrivedHello, Delivery, StoreUnavailable
from tests.simulation.network import Message, Network
from tests.simulation.scheduler import Pause, Process
from tests.simulation.stores import Stores
from tests.support.fakes.command_link import FakeCommandCounters
from tests.support.fakes.counters import FakeCounters

RENEW_MS = 3_000
LEASE_MS = 10_000
AGAIN_MS = 500

Item = TypeVar("Item")


class Ported:
    """A store as one process reaches it: every call may take a while, fail before it did anything, or fail after
    it did everything."""

    def __init__(self, process: Process, target: object, is_away: Callable[[], bool]) -> None:
        self._process, self._target, self._is_away = process, target, is_away

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)
        if not callable(method) or name in ("known", "model"):
            return method

        async def call(*arguments: Any, **named: Any) -> Any:
            chance = self._process.scheduler.chance
            if chance.random() < 0.25:
                await Pause(chance.expovariate(1 / 5))
            if self._is_away():
                raise StoreUnavailable(name)
            answer = await cast(Awaitable[Any], method(*arguments, **named))
            if chance.random() < 0.25:
                await Pause(chance.expovariate(1 / 5))
                if self._is_away():
                    raise StoreUnavailable(f"{name}, after it was done")
            return answer

        return call


class SomePatience:
    """Implements `Patience`: a moment, in which the report may be stored and may not."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def until(self, done: Callable[[], bool]) -> None:
        await Pause(self._process.scheduler.chance.uniform(0, 30))


class SimGateway:
    """Implements `DeviceLink`, `CommandLink`, `HeldLanes` and the network's `Holder`."""

    def __init__(self, process: Process, stores: Stores, network: Network, lanes: Sequence[int]) -> None:
        self.process = process
        self._network, self._lanes = network, tuple(lanes)
        self._held: dict[int, tuple[int, int]] = {}
        self._ids = count(1)
        postgres = stores.postgres_is_away
        self._leases = Ported(process, stores.leases, postgres)
        self._wire(stores, Ported(process, stores.commands, postgres), Ported(process, stores.keys, postgres))
        process.run("keeps leases", self._keep_leases())
        process.run("dispatches", self._dispatch_for_ever())

    def _wire(self, stores: Stores, commands: Any, keys: Any) -> None:
        process, clock, counters = self.process, self.process.clock, FakeCounters()
        registry: Any = Ported(process, stores.registry, stores.postgres_is_away)
        history: Any = Ported(process, stores.history, stores.postgres_is_away)
        live: Any = Ported(process, stores.live_states, stores.redis_is_away)
        link: Any = self
        told = FakeCommandCounters()
        self.open = OpenCommands()
        self.open.stirred = self.wake
        self.dispatch = Dispatch(
            DispatchPorts(commands, registry, keys, link, link, clock, told, self.open, process.name)
        )
        self.dispatch.opened = self._opened
        settle = SettleByEvidence(MovePorts(commands, self.open, told))
        rebuild = RebuildPorts(history, live, registry, clock, counters, lambda: f"epoch-{next(self._ids)}")
        self._beliefs = Beliefs(live, lambda shard: rebuild_shard(shard, rebuild), counters)
        wheel = SilenceWheel(clock.now_ms())
        # It is not run here: which id a bike is shown under is nothing to its commands.
        fresh_ids = FreshIds(FreshIdPorts(registry, self._beliefs, counters, clock, lambda: 0.0))
        reports = TakeReports(
            ReportPorts(registry, history, self._beliefs, link, wheel, counters, settle, fresh_ids)
        )
        self.at_once = EvidenceAtOnce(registry, EvidenceAhead(registry, settle), self.open.is_awaited)
        self._looking = False
        hellos = HelloPorts(registry, link, counters, keys, settle)
        acks = AckPorts(registry, keys, commands, history, link, told, self.open, SomePatience(process))
        self._inboxes: dict[Channel, Inbox[Any]] = {
            Channel.REPORT: Inbox(process, "takes reports", reports.take),
            Channel.HELLO: Inbox(process, "takes hellos", lambda batch: take_hellos(batch, hellos)),
            Channel.ACK: Inbox(process, "takes acks", lambda batch: take_acks(batch, acks)),
        }
        self._waking = 0

    # --- lanes -----------------------------------------------------------------------------------

    def lease_of(self, lane: int) -> int | None:
        held = self._held.get(lane)
        return held[0] if held is not None and self.process.scheduler.now_ms < held[1] else None

    async def _keep_leases(self) -> None:
        while True:
            asked_ms = self.process.scheduler.now_ms
            try:
                if self._held:
                    numbers = {lane: number for lane, (number, _) in self._held.items()}
                    ours = await self._leases.renew(self.process.name, numbers)
                    self._lose([lane for lane in numbers if lane not in ours])
                    for lane in sorted(ours):
                        self._held[lane] = (numbers[lane], asked_ms + LEASE_MS)
                missing = [lane for lane in self._lanes if lane not in self._held]
                if missing:
                    self._gain(await self._leases.take(self.process.name, missing), asked_ms)
            except StoreUnavailable:
                pass
            await Pause(RENEW_MS)

    def _gain(self, taken: dict[int, int], asked_ms: int) -> None:
        for lane, number in sorted(taken.items()):
            self._held[lane] = (number, asked_ms + LEASE_MS)
            self._beliefs.drop(lane)
        if taken:
            self.dispatch.lanes_taken(taken)
            self.wake()

    def _opened(self, lanes: frozenset[int]) -> None:
        """Only now: a report that comes before the open commands are known would settle nothing."""
        for lane in sorted(lanes):
            if lane in self._held:
                self._network.connect(lane, self)

    def _lose(self, lanes: Sequence[int]) -> None:
        for lane in lanes:
            del self._held[lane]
            self._beliefs.drop(lane)
        if lanes:
            self.dispatch.lanes_lost(lanes)

    # --- links -----------------------------------------------------------------------------------

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self._network.acknowledge(self, delivery)

    def publish(self, lane: int, topic: str, payload: bytes) -> None:
        self._network.publish_down(self, lane, topic, payload)

    def publish_command(self, lane: int, topic: str, payload: bytes, *, tag: UUID | None) -> bool:
        acked = None if tag is None else lambda: self._broker_acked(tag)
        return self._network.publish_down(self, lane, topic, payload, acked)

    def _broker_acked(self, tag: UUID) -> None:
        if self.process.alive:
            self.dispatch.broker_acked(tag)

    def arrived(self, lane: int, message: Message, delivery: Delivery) -> None:
        now_ms, frame = self.process.clock.now_ms(), message.payload
        item: Arrived | ArrivedHello | ArrivedAck
        if message.channel is Channel.REPORT:
            item = Arrived(lane, message.device_id, decode_report(frame), frame, now_ms, delivery, True)
            self.at_once.heard([item])
            if self.at_once.waiting and not self._looking:
                self._looking = True
                self.process.run("looks at once", self._look_at_once())
        elif message.channel is Channel.HELLO:
            hello = decode_hello(frame)
            item = ArrivedHello(lane, message.device_id, hello, now_ms, delivery, encoding_of(frame))
        else:
            item = ArrivedAck(lane, message.device_id, frame, message.topic, now_ms, delivery)
        self._inboxes[message.channel].put(item)

    async def _look_at_once(self) -> None:
        while self.at_once.waiting:
            if pause_s := await self.at_once.look():
                await Pause(int(pause_s * 1000))
        self._looking = False

    # --- dispatcher ------------------------------------------------------------------------------

    def wake(self) -> None:
        """A notice."""
        self._waking += 1
        self.dispatch.noticed()

    async def _dispatch_for_ever(self) -> None:
        while True:
            waking = self._waking
            try:
                await self.dispatch.turn()
                due_ms = self.dispatch.next_due_ms() - self.process.clock.now_ms()
            except StoreUnavailable:
                due_ms = AGAIN_MS
            if waking == self._waking:
                await Pause(max(1, due_ms))


class Inbox(Generic[Item]):
    """Collects what arrives, and gives it to the flow batch by batch until the flow takes it."""

    def __init__(
        self, process: Process, what: str, flow: Callable[[list[Item]], Coroutine[Any, Any, None]]
    ) -> None:
        self._process, self._what, self._flow = process, what, flow
        self._items: list[Item] = []
        self._busy = False

    def put(self, item: Item) -> None:
        self._items.append(item)
        if not self._busy:
            self._busy = True
            self._process.run(self._what, self._drain())

    async def _drain(self) -> None:
        while self._items:
            batch, self._items = self._items, []
            while True:
                try:
                    await self._flow(batch)
                    break
                except (StoreUnavailable, LaneTrouble):
                    await Pause(AGAIN_MS)
        self._busy = False
