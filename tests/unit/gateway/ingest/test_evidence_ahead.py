"""Commands end by what sensors say, also while no report can be stored."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from msgspec import structs

from firmware_protocol.commands import AckResult
from firmware_protocol.messages import Bolt, DeviceId, Lock, Report
from firmware_protocol.topics import shard_of
from gateway.core.command import Phase
from gateway.core.device import Status
from gateway.ingest.admission import admit
from gateway.ingest.beliefs import Beliefs
from gateway.ingest.evidence_ahead import EvidenceAhead, evidence_in
from gateway.ingest.filing import file_reports
from gateway.ingest.fresh_ids import FreshIdPorts, FreshIds
from gateway.ingest.rebuild import RebuildPorts, rebuild_shard
from gateway.ingest.silence_wheel import SilenceWheel
from gateway.ingest.state_cache import CachedState
from gateway.ingest.take_reports import ReportPorts, TakeReports
from gateway.intake import AlwaysOpen, Intake
from gateway.ports import Arrived, StoreUnavailable
from tests.support.fakes.command_gateway import CommandGateway
from tests.support.fakes.counters import FakeCounters
from tests.support.fakes.device_link import FakeDeviceLink
from tests.support.fakes.gateway import FakeGateway
from tests.support.fakes.live_states import FakeLiveStates
from tests.support.fakes.samples import BOOT, arrived, bike_report, cabinet_report
from tests.support.waiting import until_async

A, B = DeviceId("bike-a"), DeviceId("bike-b")
STORES = ("live_states.advance", "live_states.load", "live_states.epoch")


class WholeGateway(CommandGateway):
    """Commands and reports, as the composition root wires them."""

    def __init__(self) -> None:
        super().__init__()
        self.states = FakeLiveStates(self.interruptions)
        self.report_pubacks = FakeDeviceLink(self.interruptions)
        counters = FakeCounters()
        rebuild = RebuildPorts(
            self.history, self.states, self.registry, self.clock, counters, lambda: "epoch"
        )
        beliefs = Beliefs(self.states, lambda shard: rebuild_shard(shard, rebuild), counters)
        wheel = SilenceWheel(self.clock.now_ms())
        fresh_ids = FreshIds(FreshIdPorts(self.registry, beliefs, counters, self.clock, lambda: 0.0))
        ports = ReportPorts(
            self.registry, self.history, beliefs, self.report_pubacks, wheel, counters, self.settle, fresh_ids
        )
        self.intake: Intake[Arrived] = Intake(
            TakeReports(ports).take,
            AlwaysOpen(),
            self.clock,
            chance=lambda: 0.0,
            ahead=EvidenceAhead(self.registry, self.settle),
        )

    def takes(self, report: Report) -> None:
        """It comes in now."""
        self.intake.take([arrived(A, report, received_ms=self.clock.now_ms())], 100)

    def lose_redis(self) -> None:
        for point in STORES:
            self.interruptions.raise_always(point, lambda: StoreUnavailable("Redis"))


def locked(seq: int, bolt: Bolt, fence: int, openings: int) -> Report:
    return structs.replace(bike_report(seq, keep=True), lock=Lock(bolt, fence, openings))


@asynccontextmanager
async def running() -> AsyncIterator[WholeGateway]:
    gateway = WholeGateway()
    task = asyncio.create_task(gateway.intake.run())
    try:
        yield gateway
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.mark.parametrize("is_cached", [True, False])
async def test_redis_is_away_for_the_whole_command_and_it_is_confirmed(*, is_cached: bool) -> None:
    async with running() as gateway:
        if is_cached:
            gateway.takes(locked(1, Bolt.CLOSED, 0, 100))
            await until_async(lambda: not gateway.intake.pending)
        acknowledged = len(gateway.report_pubacks.acknowledged)
        gateway.lose_redis()
        gateway.redis_error = lambda: StoreUnavailable("Redis")
        # This one waits before the command is there.
        gateway.takes(locked(2, Bolt.CLOSED, 0, 100))
        await until_async(lambda: gateway.intake.failure)
        command = await gateway.sent()
        await gateway.answer(command, AckResult.EXECUTED)
        gateway.takes(locked(3, Bolt.OPEN, command.fence, 101))
        await until_async(lambda: gateway.phase(command) is Phase.CONFIRMED)
        assert len(gateway.report_pubacks.acknowledged) == acknowledged

        gateway.interruptions.heal()
        await until_async(lambda: not gateway.intake.pending)
        assert len(gateway.report_pubacks.acknowledged) == acknowledged + 2
        stamps = {(gateway.device.device_no, BOOT, seq) for seq in (2, 3)}
        assert stamps <= gateway.history.stamps()
        state = (await gateway.states.load({shard_of(A): [A]}))[A]
        assert (state.boot, state.seq) == (BOOT, 3)
        assert gateway.story(command).count("evidence") == 1
        assert gateway.incidents() == []


async def test_while_postgresql_is_away_nothing_is_settled_and_nothing_lost() -> None:
    async with running() as gateway:
        command = await gateway.sent()
        gateway.interruptions.raise_always("history.append", lambda: StoreUnavailable("PostgreSQL"))
        gateway.interruptions.raise_always("commands.move", lambda: StoreUnavailable("PostgreSQL"))
        gateway.takes(locked(1, Bolt.OPEN, command.fence, 101))
        await until_async(lambda: "commands.move" in gateway.interruptions.passed)
        assert gateway.phase(command) is Phase.SENT
        assert gateway.report_pubacks.acknowledged == []
        gateway.interruptions.heal()
        await until_async(lambda: not gateway.intake.pending)
        assert gateway.phase(command) is Phase.CONFIRMED
        assert len(gateway.history.rows) == len(gateway.report_pubacks.acknowledged) == 1


async def test_only_what_would_be_stored_of_a_full_device_with_something_open_is_offered() -> None:
    gateway = FakeGateway()
    first, second = gateway.register([A, B])
    ahead = EvidenceAhead(gateway.registry, gateway.evidence)
    assert not ahead.pays()
    gateway.evidence.open_devices.add(first.device_no)
    assert ahead.pays()
    beyond = structs.replace(arrived(A, bike_report(4)), beyond_quota=True)
    elsewhere = structs.replace(arrived(A, bike_report(5)), lane=(shard_of(A) + 1) % 16)
    await ahead.look(
        [
            arrived(A, bike_report(2)),
            arrived(B, bike_report(1)),
            arrived(A, bike_report(1)),
            arrived(DeviceId("stranger"), bike_report(1)),
            arrived(A, Report(seq=9), received_ms=gateway.clock.now_ms()),
            arrived(A, bike_report(3, boot=BOOT + 7)),
            beyond,
            elsewhere,
            structs.replace(arrived(A, bike_report(6)), report=None, malformed_reason="cut"),
        ]
    )
    assert gateway.evidence.offered == [(A, 2), (A, 1)]
    gateway.evidence.open_devices.add(second.device_no)
    gateway.registry.put(structs.replace(second, status=Status.SUSPENDED))
    await ahead.look([arrived(B, bike_report(2))])
    assert len(gateway.evidence.offered) == 2
    assert gateway.link.acknowledged == []
    assert gateway.history.rows == []


async def test_what_is_offered_ahead_is_stamped_as_it_will_be_filed() -> None:
    gateway = FakeGateway()
    (device,) = gateway.register(["cabinet-a"], "cabinet")
    batch = [arrived(device.device_id, cabinet_report(seq, {1: "bank-1"})) for seq in (1, 2)]
    admission = await admit(batch, gateway.registry)
    ((_, ahead),) = evidence_in(admission.admitted, {device.device_no})
    filing = file_reports(admission.admitted, {device.device_id: CachedState(device.device_no, None)})
    assert ahead == filing.by_device[device.device_id].stamped
