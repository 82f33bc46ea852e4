"""Who waits at a lock does not wait for a batch."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from msgspec import structs

from firmware_protocol.commands import AckResult
from firmware_protocol.messages import Bolt, DeviceId, Lock, Report
from gateway.core.command import Phase
from gateway.ingest.evidence_ahead import EvidenceAhead
from gateway.ingest.evidence_at_once import MAX_WAITING, EvidenceAtOnce
from gateway.ports import Arrived, StoreUnavailable
from tests.support.fakes.command_gateway import CommandGateway
from tests.support.fakes.gateway import FakeGateway
from tests.support.fakes.samples import arrived, bike_report
from tests.support.waiting import until_async

A, B = DeviceId("bike-a"), DeviceId("bike-b")


@asynccontextmanager
async def running(at_once: EvidenceAtOnce) -> AsyncIterator[EvidenceAtOnce]:
    task = asyncio.create_task(at_once.run())
    try:
        yield at_once
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait([task])


def listening(gateway: FakeGateway, awaited: Callable[[int], bool]) -> EvidenceAtOnce:
    return EvidenceAtOnce(gateway.registry, EvidenceAhead(gateway.registry, gateway.evidence), awaited)


def locked(seq: int, bolt: Bolt, fence: int, openings: int) -> Arrived:
    report: Report = structs.replace(bike_report(seq, keep=True), lock=Lock(bolt, fence, openings))
    return arrived(A, report)


async def test_an_order_that_is_out_ends_by_a_report_that_no_store_has() -> None:
    gateway = CommandGateway()
    ahead = EvidenceAhead(gateway.registry, gateway.settle)
    async with running(EvidenceAtOnce(gateway.registry, ahead, gateway.open.is_awaited)) as at_once:
        command = await gateway.sent()
        at_once.heard(
            [structs.replace(locked(1, Bolt.OPEN, command.fence, 101), received_ms=gateway.clock.now_ms())]
        )
        await until_async(lambda: gateway.phase(command) is Phase.CONFIRMED)
        assert gateway.history.rows == []
        # What it says in its turn, stored, is no second opening.
        await gateway.answer(command, AckResult.EXECUTED)
        at_once.heard([locked(1, Bolt.OPEN, command.fence, 101)])
        assert not gateway.open.is_awaited(gateway.device.device_no)
        assert gateway.incidents() == []


async def test_only_devices_somebody_waits_for_are_looked_at_and_in_their_order() -> None:
    gateway = FakeGateway()
    first, second = gateway.register([A, B])
    gateway.evidence.open_devices |= {first.device_no, second.device_no}
    async with running(listening(gateway, lambda device_no: device_no == first.device_no)) as at_once:
        at_once.heard([arrived(B, bike_report(1)), arrived(A, bike_report(2)), arrived(A, bike_report(1))])
        at_once.heard([arrived(DeviceId("stranger"), bike_report(1)), arrived(A, bike_report(3))])
        await until_async(lambda: len(gateway.evidence.offered) == 3)
        assert gateway.evidence.offered == [(A, 2), (A, 1), (A, 3)]
        assert gateway.link.acknowledged == []


async def test_while_nothing_is_open_nothing_is_kept() -> None:
    gateway = FakeGateway()
    gateway.register([A])
    asked: list[int] = []

    def awaited(device_no: int) -> bool:
        asked.append(device_no)
        return True

    listening(gateway, awaited).heard([arrived(A, bike_report(1))])
    assert asked == []


async def test_a_store_that_is_away_and_an_unforeseen_failure_are_left_to_the_batch() -> None:
    gateway = FakeGateway()
    (device,) = gateway.register([A])
    gateway.evidence.open_devices.add(device.device_no)
    async with running(listening(gateway, lambda device_no: True)) as at_once:
        for seq, failure in enumerate((StoreUnavailable("PostgreSQL"), ValueError("unforeseen")), start=1):
            await fail(gateway, at_once, seq, failure)
        gateway.interruptions.heal()
        at_once.heard([arrived(A, bike_report(3))])
        await until_async(lambda: (A, 3) in gateway.evidence.offered)


async def fail(gateway: FakeGateway, at_once: EvidenceAtOnce, seq: int, failure: Exception) -> None:
    gateway.interruptions.raise_always("evidence.offer", lambda: failure)
    passed = gateway.interruptions.passed.count("evidence.offer")
    at_once.heard([arrived(A, bike_report(seq))])
    await until_async(lambda: gateway.interruptions.passed.count("evidence.offer") > passed)


async def test_a_flood_is_left_to_the_batches() -> None:
    gateway = FakeGateway()
    (device,) = gateway.register([A])
    gateway.evidence.open_devices.add(device.device_no)
    async with running(listening(gateway, lambda device_no: True)) as at_once:
        at_once.heard([arrived(A, bike_report(seq)) for seq in range(1, 2 * MAX_WAITING)])
        await until_async(lambda: gateway.evidence.offered)
        assert len(gateway.evidence.offered) == MAX_WAITING
