"""Laws of where devices stand and rides end."""

from random import Random
from statistics import median

from device_sim.demand import SINGAPORE, singapore, town_around
from device_sim.movement import Place, distance_m


def test_everything_stays_within_the_town() -> None:
    for town in (singapore(), town_around(Place(48.85, 2.35), Random(1))):
        chance = Random(2)
        for _ in range(500):
            start = town.place(chance)
            assert town.area.holds(start)
            assert town.area.holds(town.destination(start, chance))


def test_rides_are_as_long_as_rides_are() -> None:
    town, chance = singapore(), Random(3)
    starts = [town.place(chance) for _ in range(500)]
    assert 400 < median(distance_m(start, town.destination(start, chance)) for start in starts) < 3_000


def test_the_default_town_is_where_the_public_trips_are() -> None:
    assert SINGAPORE.holds(Place(1.3304, 103.8765))


def test_a_town_is_the_same_from_the_same_seed() -> None:
    one, other = (town_around(Place(48.85, 2.35), Random(9)) for _ in range(2))
    assert one.hubs == other.hubs
    assert [one.place(Random(4)) for _ in range(3)] == [other.place(Random(4)) for _ in range(3)]
