"""Who waits at a lock does not wait for a batch, and what is heard early is heard in order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from msgspec import structs

from firmware_protocol.commands import AckResult
from firmware_protocol.messages import Bolt, DeviceId, Lock
from gateway.core.command import Phase
from gateway.ingest import evidence_at_once
from gateway.ingest.evidence_ahead import EvidenceAhead
from gateway.ingest.evidence_at_once import EvidenceAtOnce
from gateway.ports import Arrived, StoreUnavailable
from tests.support.fakes.command_gateway import CommandGateway
from tests.support.fakes.gateway import FakeGateway
from tests.support.fakes.samples import arrived, bike_report
from tests.support.waiting import until_async

A, B = DeviceId("bike-a"), DeviceId("bike-b")


class Listening:
    """Two bikes of which the awaited ones are looked at as soon as they report."""

    def __init__(self) -> None:
        self.gateway = FakeGateway()
        self.numbers = {one.device_id: one.device_no for one in self.gateway.register([A, B])}
        self.gateway.evidence.open_devices |= set(self.numbers.values())
        self.awaited = {A}
        ahead = EvidenceAhead(self.gateway.registry, self.gateway.evidence)
        self.at_once = EvidenceAtOnce(self.gateway.registry, ahead, self._is_awaited)

    def _is_awaited(self, device_no: int) -> bool:
        return any(self.numbers[device_id] == device_no for device_id in self.awaited)

    def fail(self, error: Exception) -> None:
        self.gateway.interruptions.raise_always("evidence.offer", lambda: error)

    @property
    def offered(self) -> list[tuple[DeviceId, int]]:
        return self.gateway.evidence.offered


@asynccontextmanager
async def running(at_once: EvidenceAtOnce) -> AsyncIterator[None]:
    task = asyncio.create_task(at_once.run())
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait([task])


def said(gateway: CommandGateway, seq: int, bolt: Bolt, fence: int, openings: int) -> Arrived:
    report = structs.replace(bike_report(seq, keep=True), lock=Lock(bolt, fence, openings))
    return arrived(A, report, received_ms=gateway.clock.now_ms())


def early(gateway: CommandGateway) -> EvidenceAtOnce:
    return EvidenceAtOnce(
        gateway.registry, EvidenceAhead(gateway.registry, gateway.settle), gateway.open.is_awaited
    )


async def test_an_order_ends_by_a_report_that_no_store_has_and_is_no_second_opening_once_one_has() -> None:
    gateway = CommandGateway()
    at_once = early(gateway)
    async with running(at_once):
        command = await gateway.sent()
        report = said(gateway, 1, Bolt.OPEN, command.fence, 101)
        at_once.heard([report])
        await until_async(lambda: gateway.phase(command) is Phase.CONFIRMED)
        assert gateway.history.rows == []
        await gateway.answer(command, AckResult.EXECUTED)
        # In its turn, when it is stored.
        await EvidenceAhead(gateway.registry, gateway.settle).look([report])
        assert gateway.phase(command) is Phase.CONFIRMED
        assert gateway.story(command).count("evidence") == 1
        assert gateway.incidents() == []
        assert not at_once.expects(A)


async def test_what_a_store_did_not_take_is_heard_before_what_came_later() -> None:
    """A bolt that opened and closed again, seen the other way round, is a bolt that stayed closed."""
    gateway = CommandGateway()
    at_once = early(gateway)
    command = await gateway.sent()
    gateway.interruptions.raise_always("commands.move", lambda: StoreUnavailable("PostgreSQL"))
    at_once.heard([said(gateway, 1, Bolt.OPEN, command.fence, 100)])
    assert await at_once.look() == evidence_at_once.AGAIN_S
    at_once.heard([said(gateway, 2, Bolt.CLOSED, command.fence, 100)])
    gateway.interruptions.heal()
    assert await at_once.look() == 0.0
    assert (gateway.phase(command), at_once.waiting) == (Phase.CONFIRMED, 0)
    assert gateway.incidents() == []


async def test_only_devices_somebody_waits_for_are_looked_at_and_in_their_order() -> None:
    bikes = Listening()
    async with running(bikes.at_once):
        bikes.at_once.heard(
            [arrived(B, bike_report(1)), arrived(A, bike_report(2)), arrived(A, bike_report(1))]
        )
        beyond = structs.replace(arrived(A, bike_report(4)), beyond_quota=True)
        bikes.at_once.heard(
            [arrived(DeviceId("stranger"), bike_report(1)), beyond, arrived(A, bike_report(3))]
        )
        await until_async(lambda: len(bikes.offered) == 3)
        assert bikes.offered == [(A, 2), (A, 1), (A, 3)]
        assert bikes.gateway.link.acknowledged == []


async def test_while_nothing_is_open_nothing_is_kept() -> None:
    bikes = Listening()
    bikes.gateway.evidence.open_devices.clear()
    bikes.at_once.heard([arrived(A, bike_report(1))])
    assert bikes.at_once.waiting == 0


async def test_it_goes_on_after_a_store_that_was_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence_at_once, "AGAIN_S", 0.001)
    bikes = Listening()
    bikes.fail(StoreUnavailable("PostgreSQL"))
    async with running(bikes.at_once):
        bikes.at_once.heard([arrived(A, bike_report(1))])
        await until_async(lambda: bikes.gateway.interruptions.passed.count("evidence.offer") > 2)
        bikes.gateway.interruptions.heal()
        await until_async(lambda: bikes.offered == [(A, 1)])


async def test_after_a_failure_nobody_foresaw_those_devices_are_left_to_the_batches() -> None:
    bikes = Listening()
    bikes.awaited = {A, B}
    bikes.fail(ZeroDivisionError())
    bikes.at_once.heard([arrived(A, bike_report(1))])
    assert await bikes.at_once.look() == 0.0
    bikes.gateway.interruptions.heal()
    bikes.at_once.heard([arrived(A, bike_report(2)), arrived(B, bike_report(1))])
    await bikes.at_once.look()
    assert bikes.offered == [(B, 1)]
    # Its command is settled, and the next one starts anew.
    bikes.awaited = {B}
    bikes.at_once.heard([arrived(A, bike_report(3))])
    bikes.awaited = {A}
    bikes.at_once.heard([arrived(A, bike_report(4))])
    await bikes.at_once.look()
    assert bikes.offered == [(B, 1), (A, 4)]


async def test_a_flood_is_left_to_the_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence_at_once, "MAX_WAITING", 5)
    monkeypatch.setattr(evidence_at_once, "LOOK_AT", 3)
    bikes = Listening()
    bikes.awaited = {A, B}
    bikes.at_once.heard([arrived(A, bike_report(seq)) for seq in range(1, 6)] + [arrived(B, bike_report(1))])
    await bikes.at_once.look()
    bikes.at_once.heard([arrived(B, bike_report(2)), arrived(A, bike_report(6))])
    while bikes.at_once.waiting:
        await bikes.at_once.look()
    assert bikes.offered == [(A, seq) for seq in range(1, 7)], "and of B nothing, since its first is missing"
