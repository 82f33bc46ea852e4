"""Laws of moving over the ground."""

from random import Random
from statistics import fmean

from hypothesis import given
from hypothesis import strategies as st

from device_sim.movement import Area, Place, bent_route, distance_m, measured, offset

AREA = Area(south=1.2, west=103.6, north=1.5, east=104.1)
places = st.builds(Place, st.floats(1.2, 1.5), st.floats(103.6, 104.1))


@given(places, places, st.integers(0, 2**32), st.integers(0, 1_000_000))
def test_a_route_starts_and_ends_where_it_says_and_never_leaves_the_area(
    start: Place, end: Place, seed: int, at_ms: int
) -> None:
    route = bent_route(start, end, starts_ms=100, ends_ms=900_000, area=AREA, chance=Random(seed))
    assert distance_m(route.at(0), start) < 0.1
    assert route.at(900_000) == end
    assert AREA.holds(AREA.clip(route.at(at_ms)))
    assert distance_m(route.at(at_ms), AREA.clip(route.at(at_ms))) < 0.1
    assert route.length_m >= distance_m(start, end) * 0.999 - 0.1


@given(places, places, st.integers(0, 2**32))
def test_nobody_rides_faster_than_the_route_is_long(start: Place, end: Place, seed: int) -> None:
    route = bent_route(start, end, starts_ms=0, ends_ms=600_000, area=AREA, chance=Random(seed))
    for at_ms in range(0, 600_000, 60_000):
        step_m = distance_m(route.at(at_ms), route.at(at_ms + 60_000))
        assert step_m <= route.length_m / 10 * 1.01 + 0.1


@given(places, st.floats(-2_000, 2_000), st.floats(-2_000, 2_000))
def test_an_offset_is_as_long_as_its_two_legs(place: Place, north_m: float, east_m: float) -> None:
    moved_m = distance_m(place, offset(place, north_m=north_m, east_m=east_m))
    assert abs(moved_m - (north_m**2 + east_m**2) ** 0.5) < 1.0


def test_a_fix_is_as_accurate_as_it_claims() -> None:
    chance = Random(5)
    place = Place(1.3, 103.8)
    fixes = [measured(place, chance, still=False) for _ in range(2_000)]
    within = [distance_m(place, Place(fix.lat_e7 / 1e7, fix.lon_e7 / 1e7)) <= fix.accuracy_m for fix in fixes]
    assert 0.80 < fmean(within) < 0.92
