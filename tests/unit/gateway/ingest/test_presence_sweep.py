"""Devices that went quiet are found without being asked for."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from msgspec import structs

from firmware_protocol.messages import DeviceId, Report
from firmware_protocol.topics import shard_of
from gateway.core.live_state import LiveState, Presence
from gateway.ports import StoreUnavailable
from tests.support.fakes.gateway import FakeGateway
from tests.support.fakes.samples import arrived, bike_report

A, B = DeviceId("bike-a"), DeviceId("bike-b")


@pytest.fixture
def gateway() -> FakeGateway:
    gateway = FakeGateway()
    gateway.register([A, B])
    return gateway


def presences(gateway: FakeGateway) -> dict[DeviceId, Presence]:
    return {device_id: state.presence for device_id, state in gateway.fake_states.all().items()}


async def test_silence_makes_a_device_quiet_then_lost_and_a_report_brings_it_back(
    gateway: FakeGateway,
) -> None:
    await gateway.take(arrived(A, bike_report(0)))
    gateway.clock.advance(ms=149_000)
    await gateway.sweep.sweep()
    assert presences(gateway) == {A: Presence.ONLINE}
    gateway.clock.advance(ms=3_000)
    assert await gateway.sweep.sweep() == 1
    assert presences(gateway) == {A: Presence.QUIET}
    gateway.clock.advance(ms=450_000)
    assert await gateway.sweep.sweep() == 1
    assert presences(gateway) == {A: Presence.LOST}
    assert gateway.fake_states.all()[A].entry is None
    assert gateway.counters.counts["quiet"] == gateway.counters.counts["lost"] == 1
    assert len(gateway.wheel) == 0
    await gateway.take(arrived(A, bike_report(700)))
    assert presences(gateway) == {A: Presence.ONLINE}
    assert gateway.wheel.is_watched(shard_of(A), A)


async def test_a_device_that_was_heard_meanwhile_is_looked_at_later(gateway: FakeGateway) -> None:
    await gateway.take(arrived(A, bike_report(0)))
    gateway.clock.advance(ms=140_000)
    await gateway.take(arrived(A, bike_report(140)))
    gateway.clock.advance(ms=20_000)
    assert await gateway.sweep.sweep() == 1
    assert presences(gateway) == {A: Presence.ONLINE}
    gateway.clock.advance(ms=132_000)
    await gateway.sweep.sweep()
    assert presences(gateway) == {A: Presence.QUIET}


async def test_after_a_restart_those_that_never_speak_again_are_found(gateway: FakeGateway) -> None:
    await gateway.take(arrived(A, bike_report(0)), arrived(B, bike_report(0)))
    gateway.restart()
    for shard in {shard_of(A), shard_of(B)}:
        await gateway.sweep.take_over(shard)
    gateway.clock.advance(ms=700_000)
    await gateway.sweep.sweep()
    assert presences(gateway) == {A: Presence.LOST, B: Presence.LOST}


async def test_a_shard_given_away_is_not_swept(gateway: FakeGateway) -> None:
    await gateway.take(arrived(A, bike_report(0)))
    gateway.sweep.drop(shard_of(A))
    gateway.clock.advance(ms=700_000)
    assert await gateway.sweep.sweep() == 0
    assert presences(gateway) == {A: Presence.ONLINE}


async def test_a_batch_that_was_in_hand_leaves_nothing_of_a_shard_given_away(gateway: FakeGateway) -> None:
    gateway.interruptions.raise_always("live_states.advance", lambda: gateway.sweep.drop(shard_of(A)))
    await gateway.take(arrived(A, bike_report(0)))
    gateway.interruptions.heal()
    gateway.clock.advance(ms=700_000)
    assert await gateway.sweep.sweep() == 0
    assert presences(gateway) == {A: Presence.ONLINE}
    gateway.sweep.regain(shard_of(A))
    await gateway.sweep.take_over(shard_of(A))
    gateway.clock.advance(ms=2_000)
    assert await gateway.sweep.sweep() == 1
    assert presences(gateway) == {A: Presence.LOST}


async def test_what_a_failing_store_kept_from_being_judged_comes_up_again(gateway: FakeGateway) -> None:
    await gateway.take(arrived(A, bike_report(0)), arrived(B, bike_report(0)))
    gateway.clock.advance(ms=200_000)
    gateway.interruptions.raise_always("live_states.advance", lambda: StoreUnavailable("away"))
    with pytest.raises(StoreUnavailable):
        await gateway.sweep.sweep()
    gateway.interruptions.heal()
    gateway.clock.advance(ms=7_000)
    assert await gateway.sweep.sweep() == 2
    assert presences(gateway) == {A: Presence.QUIET, B: Presence.QUIET}


async def test_a_report_that_another_writer_stored_in_between_wins(gateway: FakeGateway) -> None:
    await gateway.take(arrived(A, bike_report(0)))
    other = FakeGateway(gateway.fake_states)
    other.registry, other.history = gateway.registry, gateway.history
    other.restart()
    await other.take(arrived(A, bike_report(200)))
    gateway.clock.advance(ms=200_000)
    await gateway.sweep.sweep()
    assert presences(gateway) == {A: Presence.ONLINE}
    assert gateway.counters.counts["quiet"] == 0


async def swept(gateway: FakeGateway, *, s: int) -> None:
    """Time goes on, with the sweeps it has."""
    for _ in range(s // 10):
        gateway.clock.advance(ms=10_000)
        await gateway.sweep.sweep()


async def test_a_report_stored_while_its_device_is_looked_at_is_not_stored_again(
    gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both read the state, which was dropped for want of room; the sweep is the last to put it back."""
    basic = Report(battery_pct=50)
    await gateway.take(arrived(A, structs.replace(basic, seq=1), received_ms=gateway.clock.now_ms()))
    gateway.clock.advance(ms=140_000)
    await gateway.take(arrived(A, structs.replace(basic, seq=2), received_ms=gateway.clock.now_ms()))
    gateway.beliefs.cache.forget(shard_of(A), A)
    gateway.clock.advance(ms=12_000)
    load, turns = gateway.fake_states.load, iter((1, 2))

    async def answers_later(by_shard: Mapping[int, Sequence[DeviceId]]) -> Mapping[DeviceId, LiveState]:
        loaded = await load(by_shard)
        for _ in range(next(turns, 0)):
            await asyncio.sleep(0)
        return loaded

    monkeypatch.setattr(gateway.fake_states, "load", answers_later)
    third = arrived(A, structs.replace(basic, seq=3), received_ms=gateway.clock.now_ms())
    await asyncio.gather(gateway.take(third), gateway.sweep.sweep())
    await gateway.take(structs.replace(third, received_ms=third.received_ms + 1_000))
    assert [row.seq for row in gateway.history.rows] == [1, 2, 3]


async def test_a_clock_that_is_set_back_by_an_hour_leaves_no_ghosts(gateway: FakeGateway) -> None:
    """A speaks once more by the new time, B never again."""
    started_ms = gateway.clock.now_ms()
    await gateway.take(
        arrived(A, bike_report(0), received_ms=started_ms), arrived(B, bike_report(0), received_ms=started_ms)
    )
    await swept(gateway, s=60)
    gateway.clock.set_back(ms=3_600_000)
    await swept(gateway, s=60)
    await gateway.take(arrived(A, bike_report(120), received_ms=gateway.clock.now_ms()))
    assert presences(gateway) == {A: Presence.ONLINE, B: Presence.ONLINE}
    await swept(gateway, s=350)
    assert presences(gateway) == {A: Presence.QUIET, B: Presence.QUIET}
    assert gateway.counters.counts["quiet"] == 2
    await swept(gateway, s=500)
    assert presences(gateway) == {A: Presence.LOST, B: Presence.LOST}


async def test_a_lane_taken_over_from_a_gateway_whose_clock_was_ahead_has_no_ghosts(
    gateway: FakeGateway,
) -> None:
    await gateway.take(arrived(A, bike_report(7_200), received_ms=gateway.clock.now_ms() + 7_200_000))
    gateway.restart()
    await gateway.sweep.take_over(shard_of(A))
    await swept(gateway, s=1_300)
    assert presences(gateway) == {A: Presence.LOST}
