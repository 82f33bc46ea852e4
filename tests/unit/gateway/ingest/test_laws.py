"""What holds after any sequence of batches, failures, crashes, redeliveries and losses."""

import asyncio
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from firmware_protocol.codec import decode_receipt
from firmware_protocol.messages import Bolt, DeviceId, Lock, Report
from firmware_protocol.topics import shard_of
from gateway.core.advance import fold
from gateway.core.device import DeviceRecord
from gateway.core.feed import FeedPosition
from gateway.core.live_state import LiveState, MapEntry, Reason
from gateway.core.report_time import row_time
from gateway.core.stamped import StampedReport
from gateway.ingest.beliefs import LaneTrouble
from gateway.ports import Arrived, Delivery, StoreUnavailable
from tests.support.fakes.broker import FakeBroker
from tests.support.fakes.gateway import FakeGateway
from tests.support.fakes.samples import BIKE, BOOT, arrived, bike_report

NAMES = ["bike-a", "bike-b", "bike-c"]


class Crash(Exception):
    """The process is gone; its stores and the broker are not."""


class WatchedGateway(FakeGateway):
    """Checks at every acknowledgement and every receipt that what they stand for is committed."""

    def __init__(self, queued: Sequence[Arrived] = ()) -> None:
        super().__init__()
        self.register(NAMES)
        self.broker = FakeBroker(queued)
        self._arrived: dict[Delivery, Arrived] = {}
        acknowledge, publish = self.link.acknowledge, self.link.publish

        def acknowledge_committed(deliveries: Sequence[Delivery]) -> None:
            for delivery in deliveries:
                assert self.is_stored(self._arrived[delivery]), "acknowledged before it was committed"
            acknowledge(deliveries)
            self.broker.acknowledge(deliveries)

        def publish_committed(lane: int, topic: str, payload: bytes) -> None:
            device_no = self.record(DeviceId(topic.split("/")[3])).device_no
            for stamp in decode_receipt(payload).stamps:
                assert (device_no, stamp.boot, stamp.seq) in self.history.stamps()
            publish(lane, topic, payload)

        self.link.acknowledge = acknowledge_committed  # type: ignore[method-assign]  # the same, watched
        self.link.publish = publish_committed  # type: ignore[method-assign]  # the same, watched

    def record(self, device_id: DeviceId) -> DeviceRecord:
        return next(device for device in self.registry.all() if device.device_id == device_id)

    def is_stored(self, one: Arrived) -> bool:
        assert one.report is not None
        stamp = (self.record(one.device_id).device_no, one.report.boot, one.report.seq or 0)
        return stamp in self.history.stamps()

    async def run(self, sizes: random.Random) -> None:
        """Until the broker has nothing left; failures are tried again, crashes are restarts."""
        batch: list[Arrived] = []
        while batch or (batch := self.broker.deliver(sizes.randint(1, 8))):
            self._arrived.update({one.delivery: one for one in batch})
            try:
                await self.take_all(batch)
            except (StoreUnavailable, LaneTrouble):
                continue
            except Crash:
                self.restart()
                self.broker.reconnect()
            batch = []

    async def take_all(self, batch: list[Arrived]) -> None:
        await self.reports.take(batch)


def reported(state: LiveState | None) -> object:
    """What neither order nor repetition may change. Silence is not said, and nor is that a bike waits for an id."""
    if state is None:
        return None
    spoken = {code for code, _ in state.reasons} - {Reason.QUIET, Reason.LOST, Reason.RETURNED}
    return state.boot, state.seq, state.at_ms, state.frame, spoken


def believed(state: LiveState) -> LiveState:
    """Everything but how many changes it took."""
    return structs.replace(state, revision=0)


def from_scratch(device: DeviceRecord, sent: Sequence[Arrived]) -> LiveState | None:
    mine = [one for one in sent if one.device_id == device.device_id and one.report is not None]
    return fold(None, device, BIKE, [_stamped(one, one.report) for one in mine if one.report is not None])


def _stamped(one: Arrived, report: Report) -> StampedReport:
    time = row_time(report, one.received_ms)
    return StampedReport(
        report, report.boot, report.seq or 0, time.at_ms, time.clock_suspect, one.received_ms, 0, 0, one.frame
    )


@st.composite
def queues(draw: st.DrawFn, *, ordered: bool = False) -> list[Arrived]:
    """Reports of a few bikes that wander, run low and are opened; shuffled and repeated unless `ordered`."""
    chance = draw(st.randoms(use_true_random=False))
    queued: list[Arrived] = []
    for name in NAMES:
        for seq in range(1, draw(st.integers(0, 10)) + 1):
            report = bike_report(
                seq * 20,
                boot=BOOT if seq > 3 else BOOT - 1,
                keep=chance.random() < 0.4,
                battery_pct=chance.choice([80, 78, 10]),
                lat_e7=chance.choice([0, 300, 600, 9_000]),
            )
            if chance.random() < 0.2:
                report = structs.replace(report, lock=Lock(Bolt.OPEN), fix=None)
            queued.append(arrived(DeviceId(name), report))
    if ordered:
        queued.sort(key=lambda one: one.received_ms)
        return queued
    queued += chance.sample(queued, k=min(len(queued), 6))
    chance.shuffle(queued)
    return queued


@settings(deadline=None)
@given(
    queued=queues(),
    troubles=st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=6),
    seed=st.integers(0, 2**32),
)
def test_crashes_and_failures_at_any_moment_lose_nothing_and_store_nothing_twice(
    queued: list[Arrived], troubles: list[tuple[int, bool]], seed: int
) -> None:
    gateway = WatchedGateway(queued)
    for point, is_crash in troubles:
        error = Crash if is_crash else lambda: StoreUnavailable("away")
        gateway.interruptions.raise_after(point, error)
    asyncio.run(gateway.run(random.Random(seed)))
    rows = [(row.device_no, row.boot, row.seq) for row in gateway.history.rows]
    assert len(rows) == len(set(rows))
    assert all(gateway.is_stored(one) for one in queued)
    for device in gateway.registry.all():
        stored = gateway.fake_states.all().get(device.device_id)
        assert reported(stored) == reported(from_scratch(device, queued))
    named = {(d, stamp) for d, stamps in gateway.receipted().items() for stamp in stamps}
    kept = {
        (one.device_id, (one.report.boot, one.report.seq)) for one in queued if one.report and one.report.keep
    }
    if not any(is_crash for _, is_crash in troubles):
        assert {(d, (stamp.boot, stamp.seq)) for d, stamp in named} == kept


@settings(deadline=None)
@given(
    queued=queues(ordered=True), flushes=st.lists(st.integers(0, 80), max_size=4), seed=st.integers(0, 2**32)
)
def test_a_redis_lost_at_any_moment_is_rebuilt_without_a_difference(
    queued: list[Arrived], flushes: list[int], seed: int
) -> None:
    calm, troubled = WatchedGateway(queued), WatchedGateway(queued)
    for point in flushes:
        troubled.interruptions.raise_after(point, troubled.fake_states.flush)
    for gateway in (calm, troubled):
        asyncio.run(gateway.run(random.Random(seed)))
    asyncio.run(_touch_every_shard(troubled))
    expected = {d: believed(state) for d, state in calm.fake_states.all().items()}
    assert {d: believed(state) for d, state in troubled.fake_states.all().items()} == expected
    assert {(row.device_no, row.boot, row.seq) for row in calm.history.rows} == troubled.history.stamps()


async def _touch_every_shard(gateway: FakeGateway) -> None:
    """The owner notices a loss with the next write, or when it looks."""
    gateway.interruptions.heal()
    for name in NAMES:
        await gateway.beliefs.check(shard_of(DeviceId(name)))


@settings(deadline=None)
@given(queued=queues(), seed=st.integers(0, 2**32))
def test_the_feed_from_its_beginning_tells_every_entry(queued: list[Arrived], seed: int) -> None:
    gateway = WatchedGateway(queued)
    asyncio.run(gateway.run(random.Random(seed)))
    told = asyncio.run(_everything_told(gateway))
    states = gateway.fake_states.all()
    assert told == {d: state.entry for d, state in states.items() if state.entry is not None}


async def _everything_told(gateway: FakeGateway) -> dict[DeviceId, MapEntry]:
    told: dict[DeviceId, MapEntry] = {}
    for shard in {shard_of(DeviceId(name)) for name in NAMES}:
        epoch = await gateway.beliefs.epoch(shard)
        for part in await gateway.fake_states.follow({shard: FeedPosition(epoch, 0, "0")}, 1):
            for entry in part.entries:
                if entry.entry is None:
                    told.pop(entry.device_id, None)
                else:
                    told[entry.device_id] = entry.entry
    return told


async def test_every_single_moment_of_one_batch_may_be_the_last() -> None:
    """The same as above, once through all points instead of by chance."""
    queued = [arrived(DeviceId(name), bike_report(seq, keep=True)) for seq in (1, 2) for name in NAMES]
    point = 0
    while True:
        gateway = WatchedGateway(queued)
        gateway.interruptions.raise_after(point, Crash)
        await gateway.run(random.Random(0))
        assert len(gateway.history.rows) == len(queued)
        assert {state.seq for state in gateway.fake_states.all().values()} == {2}
        if len(gateway.interruptions.passed) <= point:
            return
        point += 1


async def test_a_stamp_that_only_redis_knows_is_still_stored() -> None:
    """A crash of PostgreSQL may take back rows whose states are out already."""
    gateway = WatchedGateway()
    one = arrived(DeviceId("bike-a"), bike_report(5, keep=True))
    gateway.broker = FakeBroker([one])
    await gateway.run(random.Random(0))
    lost_rows = FakeGateway(gateway.fake_states)
    lost_rows.register(NAMES)
    lost_rows.live_states = gateway.fake_states
    await lost_rows.take(one)
    assert [row.seq for row in lost_rows.history.rows] == [5]
    assert len(lost_rows.receipted()) == 1


def test_a_broken_law_is_noticed() -> None:
    """The watch itself works: a flow that acknowledges first is caught."""
    queued = [arrived(DeviceId("bike-a"), bike_report(1))]
    gateway = WatchedGateway(queued)
    (one,) = gateway.broker.deliver(1)
    gateway._arrived[one.delivery] = one
    with pytest.raises(AssertionError, match="before it was committed"):
        gateway.link.acknowledge([one.delivery])
