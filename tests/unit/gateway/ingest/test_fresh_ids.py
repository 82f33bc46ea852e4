"""A bike that was used comes back to maps under another public id, whatever fails or dies on the way."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

import pytest
from msgspec import structs

from firmware_protocol.messages import Bolt, DeviceId, Lock, Report
from firmware_protocol.topics import shard_of
from gateway.core.device import DeviceRecord
from gateway.core.live_state import LiveState, MapEntry
from gateway.core.shown_anew import waits_for_its_id
from gateway.ingest.beliefs import LaneTrouble
from gateway.ingest.fresh_ids import MAX_OF_AN_HOUR
from gateway.ports import StoreUnavailable
from tests.support.fakes.gateway import FakeGateway
from tests.support.fakes.samples import arrived, bike_report
from tests.support.waiting import until_async

A, B = DeviceId("bike-a"), DeviceId("bike-b")


class Killed(Exception):
    """The process ends here."""


@pytest.fixture
def gateway() -> FakeGateway:
    gateway = FakeGateway()
    gateway.register([A, B])
    return gateway


def locked(seq: int, bolt: Bolt) -> Report:
    return structs.replace(bike_report(seq), lock=Lock(bolt))


async def use(gateway: FakeGateway, device_id: DeviceId = A, *, first: int = 1) -> None:
    """Opened and closed again."""
    for seq, bolt in enumerate((Bolt.CLOSED, Bolt.OPEN, Bolt.CLOSED), start=first):
        await gateway.take(arrived(device_id, locked(seq, bolt)))


def believed(gateway: FakeGateway, device_id: DeviceId = A) -> LiveState:
    return gateway.fake_states.all()[device_id]


def record(gateway: FakeGateway, device_id: DeviceId = A) -> DeviceRecord:
    return next(one for one in gateway.registry.all() if one.device_id == device_id)


def shown(gateway: FakeGateway, device_id: DeviceId = A) -> MapEntry | None:
    """What a rider's map shows."""
    entry = believed(gateway, device_id).entry
    return entry if entry is not None and entry.available else None


def id_shown(gateway: FakeGateway, device_id: DeviceId = A) -> str | None:
    entry = shown(gateway, device_id)
    return None if entry is None else entry.public_id


async def test_a_used_bike_is_shown_again_under_another_id_and_marker(gateway: FakeGateway) -> None:
    await gateway.take(arrived(A, bike_report(0)))
    before = shown(gateway)
    assert before is not None
    await use(gateway)
    assert shown(gateway) is None
    assert len(gateway.fresh_ids) == 1
    await gateway.fresh_ids.give()
    after = shown(gateway)
    assert after is not None
    assert after.public_id != before.public_id
    assert after.marker != before.marker
    assert (after.public_id, after.marker) == (record(gateway).public_id, record(gateway).marker)
    assert gateway.counters.counts["shown_anew"] == 1
    assert len(gateway.fresh_ids) == 0


async def test_one_that_stood_still_keeps_its_id(gateway: FakeGateway) -> None:
    await use(gateway, A)
    await gateway.take(arrived(B, bike_report(1)), arrived(B, bike_report(2)))
    await gateway.fresh_ids.give()
    assert id_shown(gateway, B) == "public-2"


async def test_one_that_is_in_use_again_by_then_waits_for_its_return(gateway: FakeGateway) -> None:
    await use(gateway)
    await gateway.take(arrived(A, locked(4, Bolt.OPEN)))
    await gateway.fresh_ids.give()
    assert record(gateway).public_id == "public-1"
    assert shown(gateway) is None
    await gateway.take(arrived(A, locked(5, Bolt.CLOSED)))
    await gateway.fresh_ids.give()
    assert id_shown(gateway) == "fresh-1"


async def test_one_that_is_used_again_while_ids_are_given_gets_one_more(
    gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    await use(gateway)
    give = gateway.registry.give_public_ids

    async def give_and_ride(used: Mapping[DeviceId, int]) -> Mapping[DeviceId, DeviceRecord]:
        given = await give(used)
        monkeypatch.undo()
        await use(gateway, first=4)
        return given

    monkeypatch.setattr(gateway.registry, "give_public_ids", give_and_ride)
    await gateway.fresh_ids.give()
    assert shown(gateway) is None
    assert len(gateway.fresh_ids) == 1
    await gateway.fresh_ids.give()
    assert id_shown(gateway) == "fresh-2"


@pytest.mark.parametrize("rides_again", [False, True], ids=["stands", "rides-again"])
@pytest.mark.parametrize("killed", [False, True], ids=["fails", "killed"])
async def test_whatever_fails_on_the_way_it_is_shown_in_the_end_and_never_as_before(
    *, killed: bool, rides_again: bool
) -> None:
    """Every single moment, once; a process that was killed finds who waits when it takes the lane."""
    point = 0
    while True:
        gateway = FakeGateway()
        gateway.register([A])
        await use(gateway)
        passed = len(gateway.interruptions.passed)
        gateway.interruptions.raise_after(point, Killed if killed else lambda: StoreUnavailable("away"))
        with suppress(StoreUnavailable, LaneTrouble, Killed):
            await gateway.fresh_ids.give()
        interrupted = len(gateway.interruptions.passed) == passed + point + 1
        gateway.interruptions.heal()
        before = {"public-1"}
        assert id_shown(gateway) not in before
        if interrupted and killed:
            gateway.restart()
            await gateway.sweep.take_over(shard_of(A))
        if rides_again:
            before |= {id_shown(gateway) or ""}
            await use(gateway, first=4)
        await gateway.fresh_ids.give()
        assert id_shown(gateway) == record(gateway).public_id
        assert id_shown(gateway) not in before
        assert not waits_for_its_id(believed(gateway))
        if not interrupted:
            assert point > 2
            return
        point += 1


async def test_one_whose_row_is_held_by_somebody_holds_up_nobody_and_waits(gateway: FakeGateway) -> None:
    await use(gateway, A)
    await use(gateway, B)
    gateway.registry.held.add(A)
    await gateway.fresh_ids.give()
    assert id_shown(gateway, B) == "fresh-1"
    assert shown(gateway, A) is None
    assert len(gateway.fresh_ids) == 1
    gateway.registry.held.clear()
    await gateway.fresh_ids.give()
    assert id_shown(gateway, A) == "fresh-2"


async def test_one_that_says_it_is_used_all_the_time_waits_for_the_next_hour(gateway: FakeGateway) -> None:
    for seq in range(1, 3 * (MAX_OF_AN_HOUR + 1), 3):
        await use(gateway, first=seq)
        await gateway.fresh_ids.give()
    assert shown(gateway) is None
    assert len(gateway.fresh_ids) == 0
    assert gateway.counters.counts["shown_anew"] == MAX_OF_AN_HOUR
    assert gateway.counters.counts["used_too_often"] == 1
    gateway.clock.advance(ms=3_600_000)
    await gateway.take(arrived(A, bike_report(5_000), received_ms=gateway.clock.now_ms()))
    await gateway.fresh_ids.give()
    assert id_shown(gateway) == f"fresh-{MAX_OF_AN_HOUR + 1}"


async def test_a_sweep_finds_one_that_somebody_else_left_waiting(gateway: FakeGateway) -> None:
    await use(gateway)
    gateway.restart()
    await gateway.take(arrived(B, bike_report(1)))
    gateway.wheel.watch(shard_of(A), A, gateway.clock.now_ms())
    gateway.clock.advance(ms=2_000)
    await gateway.sweep.sweep()
    await gateway.fresh_ids.give()
    assert id_shown(gateway) == "fresh-1"


async def test_a_report_finds_again_what_was_forgotten(gateway: FakeGateway) -> None:
    await use(gateway)
    gateway.restart()
    assert len(gateway.fresh_ids) == 0
    await gateway.take(arrived(A, bike_report(9)))
    assert shown(gateway) is None
    await gateway.fresh_ids.give()
    assert id_shown(gateway) == "fresh-1"


async def test_a_lane_that_was_lost_is_left_to_its_next_owner(gateway: FakeGateway) -> None:
    await use(gateway)
    gateway.fresh_ids.drop(shard_of(A))
    assert len(gateway.fresh_ids) == 0
    await gateway.take(arrived(A, bike_report(9)))
    assert len(gateway.fresh_ids) == 1

    def lost() -> Exception:
        gateway.fresh_ids.drop(shard_of(A))
        return StoreUnavailable("away")

    gateway.interruptions.raise_always("registry.give_public_ids", lost)
    with pytest.raises(StoreUnavailable):
        await gateway.fresh_ids.give()
    assert len(gateway.fresh_ids) == 0


async def test_a_lane_that_was_lost_and_taken_again_waits_like_any_other(gateway: FakeGateway) -> None:
    gateway.fresh_ids.drop(shard_of(A))
    await use(gateway)
    gateway.interruptions.raise_always("registry.give_public_ids", lambda: StoreUnavailable("away"))
    with pytest.raises(StoreUnavailable):
        await gateway.fresh_ids.give()
    assert len(gateway.fresh_ids) == 1
    gateway.interruptions.heal()
    await gateway.fresh_ids.give()
    assert id_shown(gateway) == "fresh-1"


async def test_a_process_that_ends_takes_on_nothing_more(gateway: FakeGateway) -> None:
    await use(gateway, A)
    gateway.fresh_ids.leave()
    await use(gateway, B)
    assert len(gateway.fresh_ids) == 0


async def test_it_goes_on_by_itself_when_the_store_is_back(gateway: FakeGateway) -> None:
    running = asyncio.ensure_future(gateway.fresh_ids.run())
    try:
        gateway.interruptions.raise_always(
            "registry.give_public_ids", lambda: StoreUnavailable("PostgreSQL is away")
        )
        await use(gateway)
        await until_async(lambda: gateway.interruptions.passed.count("registry.give_public_ids") >= 2)
        assert shown(gateway) is None
        gateway.interruptions.heal()
        await until_async(lambda: id_shown(gateway) == "fresh-1")
    finally:
        running.cancel()


async def test_a_device_that_the_registry_forgot_is_forgotten(gateway: FakeGateway) -> None:
    await use(gateway)
    gateway.registry.forget()
    gateway.registry._stored.pop(A)
    await gateway.fresh_ids.give()
    assert len(gateway.fresh_ids) == 0
