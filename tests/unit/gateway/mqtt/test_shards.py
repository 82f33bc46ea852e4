"""Leases kept, lost, and given back."""

from collections.abc import Mapping, Sequence

import pytest

from gateway.mqtt.shards import LEASE_S, TAKE_OVERS_MAX, LaneKeeper, TakeOvers
from gateway.ports import StoreUnavailable
from gateway.stores import leases as leases_of_postgresql
from tests.support.fakes.clock import FakeClock
from tests.support.fakes.leases import LEASE_MS, FakeLeases


class Observed:
    """What the keeper told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, list[int]]] = []

    def lanes_taken(self, lanes: frozenset[int]) -> None:
        self.told.append(("taken", sorted(lanes)))

    def lanes_lost(self, lanes: frozenset[int]) -> None:
        self.told.append(("lost", sorted(lanes)))

    def lane_parked(self, lane: int) -> None:
        self.told.append(("parked", [lane]))


class AbsentLeases(FakeLeases):
    """Answers only while `here`."""

    here = True

    async def take(self, owner: str, lanes: Sequence[int]) -> Mapping[int, int]:
        self._ask()
        return await super().take(owner, lanes)

    async def renew(self, owner: str, held: Mapping[int, int]) -> frozenset[int]:
        self._ask()
        return await super().renew(owner, held)

    def _ask(self) -> None:
        if not self.here:
            raise StoreUnavailable("leases")


def keeper(leases: FakeLeases, clock: FakeClock, owner: str = "one") -> tuple[LaneKeeper, Observed]:
    observed = Observed()
    return LaneKeeper(leases, owner, (3, 7), clock, observer=observed), observed


async def test_a_lane_has_one_owner_until_it_is_given_back() -> None:
    clock = FakeClock()
    leases = FakeLeases(clock)
    (first, _), (second, told) = keeper(leases, clock), keeper(leases, clock, "two")
    assert await first.confirm(7)
    assert not await second.confirm(7)
    assert second.missing == {3, 7}
    await first.release()
    clock.advance(ms=1)
    assert await second.confirm(7)
    assert told.told == [("taken", [3, 7])]


async def test_the_same_name_takes_its_lanes_back_at_once() -> None:
    clock = FakeClock()
    leases = FakeLeases(clock)
    (killed, told), (restarted, _) = keeper(leases, clock), keeper(leases, clock)
    assert await killed.confirm(3)
    assert await restarted.confirm(3)
    assert restarted.held[3] > killed.held[3]
    clock.advance(ms=3_000)
    await killed.confirm(3)
    assert ("lost", [3, 7]) in told.told


async def test_while_postgres_is_away_nothing_is_given_up() -> None:
    clock = FakeClock()
    leases = AbsentLeases(clock)
    lanes, told = keeper(leases, clock)
    assert await lanes.confirm(3)
    leases.here = False
    clock.advance(ms=60_000)
    with pytest.raises(StoreUnavailable):
        await lanes.confirm(3)
    assert lanes.held.keys() == {3, 7}
    assert lanes.store_away
    leases.here = True
    clock.advance(ms=1)
    assert await lanes.confirm(3)
    assert told.told == [("taken", [3, 7])]


async def test_two_gateways_of_one_name_fight_briefly_and_one_parks() -> None:
    clock = FakeClock()
    leases = FakeLeases(clock)
    fighters = [keeper(leases, clock), keeper(leases, clock)]
    for _ in range(TAKE_OVERS_MAX + 1):
        for lanes, _ in fighters:
            clock.advance(ms=1_500)
            await lanes.confirm(3)
    parked = [lanes.parked for lanes, _ in fighters]
    assert sorted(map(len, parked)) == [0, 2]


async def test_a_parked_lane_is_left_alone() -> None:
    clock = FakeClock()
    lanes, told = keeper(FakeLeases(clock), clock)
    await lanes.confirm(3)
    for _ in range(TAKE_OVERS_MAX):
        lanes.note_take_over(3)
    clock.advance(ms=3_000)
    assert not await lanes.confirm(3)
    assert told.told == [("taken", [3, 7]), ("lost", [3]), ("parked", [3])]


def test_take_overs_far_apart_are_hand_overs() -> None:
    take_overs = TakeOvers()
    assert not any(take_overs.note(3, now_s) for now_s in (0.0, 20.0, 40.0, 60.0))
    assert take_overs.note(3, 61.0)


async def test_a_lease_number_is_given_only_while_the_lease_cannot_have_run_out() -> None:
    clock = FakeClock()
    leases = FakeLeases(clock)
    one, _ = keeper(leases, clock)
    assert one.lease_of(3) is None
    await one.confirm(3)
    assert one.lease_of(3) == one.held[3]
    assert one.lease_of(4) is None
    clock.advance(ms=LEASE_MS - 1)
    assert one.lease_of(3) is not None
    clock.advance(ms=1)
    assert one.lease_of(3) is None
    assert 3 in one.held
    assert LEASE_S == leases_of_postgresql.LEASE_S
