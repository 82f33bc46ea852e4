"""What a gateway believed of a device is what a rebuild finds in PostgreSQL, however its states came to be saved."""

from collections.abc import AsyncIterator

import pytest

from firmware_protocol.messages import Bolt, DeviceId, Fix, Lock, Report
from firmware_protocol.topics import shard_of
from gateway.clock import SystemClock
from gateway.core.live_state import LiveState
from gateway.core.rebase import BEFORE_EVERY_SEQ
from gateway.ingest.rebase_device import rebase_device
from gateway.ingest.take_reports import ReportPorts, TakeReports
from gateway.stores.history import PostgresHistory
from gateway.stores.last_reports import PostgresLastReports
from gateway.stores.registry import PostgresRegistry
from tests.support.fakes.gateway import FakeGateway
from tests.support.fakes.samples import BIKE, arrived
from tests.support.stored import ask, register

A, B = DeviceId("bike-1"), DeviceId("bike-2")
MINUTE_MS = 60_000


class Line:
    """Reports of two bikes into a real PostgreSQL; live states are in memory. Times are minutes before now."""

    def __init__(self, dsn: str) -> None:
        self.now_ms = SystemClock().now_ms()
        self.boot = self.now_ms // 1000 - 7200
        register(dsn, A, B, model=BIKE)
        ask(dsn, "update device set boot = %s, power_on_id = device_no", [self.boot])
        self.registry = PostgresRegistry(dsn, SystemClock())
        self.history = PostgresHistory(dsn)
        self.last_reports = PostgresLastReports(dsn, self.registry.model)
        self.fake = fake = FakeGateway()
        ports = ReportPorts(
            self.registry,
            self.history,
            fake.beliefs,
            fake.link,
            fake.wheel,
            fake.counters,
            fake.evidence,
            fake.fresh_ids,
        )
        self.flow = TakeReports(ports)

    async def take(
        self, device_id: DeviceId, seq: int, *, ago: float, openings: int = 0, clock_behind: int = 0
    ) -> None:
        """One report; its bolt stays open once it was opened."""
        at_ms = self.now_ms - int(ago * MINUTE_MS)
        lock = Lock(Bolt.OPEN if openings else Bolt.CLOSED, 0, openings)
        elapsed_ms = at_ms - self.boot * 1000
        report = Report(
            boot=self.boot, seq=seq, elapsed_ms=elapsed_ms, fix=Fix(0, 1_030_000_000, 3.0), lock=lock
        )
        received_ms = at_ms - clock_behind * MINUTE_MS
        await self.flow.take([arrived(device_id, report, received_ms=received_ms)])

    async def take_basic(self, device_id: DeviceId, seq: int, *, ago: int, clock_behind: int) -> None:
        """Of a device without a boot number."""
        received_ms = self.now_ms - (ago + clock_behind) * MINUTE_MS
        report = Report(seq=seq, reported_at_ms=received_ms, fix=Fix(0, 0, 3.0), lock=Lock(Bolt.CLOSED))
        await self.flow.take([arrived(device_id, report, received_ms=received_ms)])

    async def believed(self, device_id: DeviceId) -> LiveState:
        return (await self.fake.live_states.load({shard_of(device_id): [device_id]}))[device_id]

    async def rebuilt(self, device_id: DeviceId) -> LiveState:
        found = await self.last_reports.of_shard(shard_of(device_id))
        return next(state for device, state in found if device.device_id == device_id)

    async def close(self) -> None:
        await self.last_reports.close()
        await self.registry.close()
        await self.history.close()


@pytest.fixture
async def line(database: str) -> AsyncIterator[Line]:
    line = Line(database)
    await line.registry.open()
    yield line
    await line.close()


async def test_a_rebuild_after_a_lull_knows_the_newest_report(line: Line) -> None:
    """The report after twenty quiet minutes writes what was held: what was believed before the last one."""
    await line.take(A, 1, ago=30)
    await line.take(A, 2, ago=27)
    await line.take(A, 3, ago=22)
    await line.take(A, 4, ago=20, openings=1)
    await line.take(B, 1, ago=0)
    believed, rebuilt = await line.believed(A), await line.rebuilt(A)
    assert (rebuilt.seq, rebuilt.openings) == (believed.seq, believed.openings) == (4, 1)
    assert rebuilt.entry is not None
    assert not rebuilt.entry.available


async def test_a_rebuild_knows_the_newest_report_that_a_clock_behind_has_dated(line: Line) -> None:
    for seq in range(1, 12):
        await line.take(A, seq, ago=(11 - seq) / 2, openings=seq // 11, clock_behind=20)
    rebuilt = await line.rebuilt(A)
    assert (rebuilt.seq, rebuilt.openings) == (11, 1)


@pytest.mark.parametrize("clock_behind", [20, 0, -20])
async def test_a_rebuild_does_not_undo_a_rebase(line: Line, clock_behind: int) -> None:
    """The device had lost its counter: what it was heard to say before the rebase has higher numbers."""
    await line.take_basic(A, 1_000_000, ago=10, clock_behind=clock_behind)
    await line.take_basic(A, 1, ago=1, clock_behind=clock_behind)
    assert (await line.believed(A)).seq == 1_000_000
    await rebase_device(A, line.registry, line.fake.beliefs, line.history)
    assert (await line.rebuilt(A)).seq == BEFORE_EVERY_SEQ
    await line.take_basic(A, 2, ago=0, clock_behind=clock_behind)
    assert (await line.rebuilt(A)).seq == (await line.believed(A)).seq == 2
