"""Laws of a whole fleet's life."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from device_sim.bike import Bike
from device_sim.demand import singapore
from device_sim.fleet import Fleet, build_fleet
from device_sim.happenings import Happening, Trip
from device_sim.movement import Place, distance_m
from device_sim.profiles import PROFILES, Kind
from device_sim.world import World

HOUR_MS = 3_600_000
START_MS = 1_700_000_000_000


def fleet(seed: int, devices: int = 120) -> Fleet:
    return build_fleet(
        devices, seed=seed, secret=b"s", mix={Kind.BIKE: 60, Kind.CABINET: 30, Kind.LOCKER: 10}
    )


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(1, HOUR_MS), min_size=1, max_size=5))
def test_the_same_seed_lives_the_same_life_however_often_one_looks(seed: int, steps_ms: list[int]) -> None:
    once = fleet(seed).world(starts_ms=START_MS)
    whole = list(once.advance(START_MS + sum(steps_ms)))
    again = fleet(seed).world(starts_ms=START_MS)
    pieces: list[Happening] = []
    now_ms = START_MS
    for step_ms in steps_ms:
        now_ms += step_ms
        for happening in again.advance(now_ms):
            again.report(happening)
            pieces.append(happening)
    assert pieces == whole
    assert [a.at_ms for a in whole] == sorted(a.at_ms for a in whole)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10_000))
def test_no_bank_is_lost_or_made_and_every_report_is_possible(seed: int) -> None:
    group = fleet(seed)
    world = group.world(starts_ms=START_MS)
    banks = sorted(world.bank_ids())
    assert len(set(banks)) == len(banks) > 0
    kept = 0
    for happening in world.advance(START_MS + 4 * HOUR_MS):
        report = world.report(happening)
        kept += report.keep
        assert report.battery_pct is None or 0 <= report.battery_pct <= 100
        if report.fix is not None:
            true_place = Place(report.fix.lat_e7 / 1e7, report.fix.lon_e7 / 1e7)
            assert distance_m(true_place, group.town.area.clip(true_place)) < 60
    assert sorted(world.bank_ids()) == banks
    assert kept > 0
    assert world.pockets


def test_another_seed_lives_another_life() -> None:
    lives = [list(fleet(seed).world(starts_ms=0).advance(HOUR_MS)) for seed in (1, 2)]
    assert lives[0] != lives[1]


def test_heartbeats_come_as_often_as_asked() -> None:
    for stretch in (1.0, 0.1, 4.0):
        group = build_fleet(200, seed=3, secret=b"s", mix={Kind.BIKE: 1})
        world = group.world(starts_ms=0)
        world.spread_beats(stretch)
        count = len(list(world.advance(2 * HOUR_MS)))
        expected = group.natural_rate_per_s() * 7_200 / stretch
        assert 0.6 * expected < count < 1.6 * expected


def bikes(count: int) -> list[Bike]:
    profile = next(one for one in PROFILES if one.kind is Kind.BIKE)
    return [Bike(profile, Place(1.30, 103.80), now_ms=0, chance=Random(n)) for n in range(count)]


def test_a_bike_rides_the_newest_of_two_trips_that_overlap_and_jumps_are_counted() -> None:
    far = Place(1.35, 103.90)
    trips = [
        Trip(0, 10_000, 600_000, Place(1.30, 103.80), Place(1.31, 103.81)),
        Trip(0, 300_000, 900_000, Place(1.32, 103.82), Place(1.33, 103.83)),
        Trip(0, 1_200_000, 1_500_000, far, Place(1.36, 103.90)),
    ]
    lives = bikes(1)
    world = World(lives, singapore(), chance=Random(1), noise=Random(2), starts_ms=0, trips=iter(trips))
    world.skip(400_000)
    assert lives[0].riding
    assert world.conflicts.overlaps == 1
    world.skip(700_000)
    assert lives[0].riding, "the end of the first trip must not park the second"
    world.skip(950_000)
    assert lives[0].route is None
    assert lives[0].place == Place(1.33, 103.83)
    assert world.conflicts.jumps == 0
    world.skip(1_600_000)
    assert world.conflicts.jumps == 1
    assert lives[0].place == Place(1.36, 103.90)


def test_a_bike_of_a_file_rides_nothing_else() -> None:
    world = World(bikes(3), singapore(), chance=Random(1), noise=Random(2), starts_ms=0, trips=iter(()))
    assert not [happening for happening in world.advance(24 * HOUR_MS) if happening.keep]
