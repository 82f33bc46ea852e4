"""Among thousands the short look finds whom the long look finds, anywhere on the earth."""

from functools import cache
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from api.live.fleet_view import FleetView
from api.live.traits import MapFilter, traits_of
from gateway.core.live_state import MapEntry
from geo.point import E7, Point, haversine_m
from tests.unit.api.live.entries import entry

PLACES = [
    Point(312_304_000, 1_214_737_000),
    Point(0, 0),
    Point(10 * E7, 180 * E7 - 40_000),
    Point(-700_000_000, -180 * E7),
    Point(899_900_000, 300_000_000),
    Point(-90 * E7, 0),
]
CROWD = 1_500
SPREAD_E7 = 60_000


@cache
def _crowd(place: Point) -> tuple[FleetView, list[MapEntry]]:
    """Dense in the middle and thin at the edge; one of three is not available."""
    chance = Random(place.lat_e7 + place.lon_e7)
    view, devices = FleetView(), list[MapEntry]()
    for number in range(CROWD):
        lat_e7 = place.lat_e7 + int(chance.gauss(0, SPREAD_E7))
        lon_e7 = place.lon_e7 + int(chance.gauss(0, SPREAD_E7))
        lon_e7 = (lon_e7 + 180 * E7) % (360 * E7) - 180 * E7
        lat_e7 = max(-90 * E7, min(90 * E7, lat_e7))
        one = entry(number, lat_e7=lat_e7, lon_e7=lon_e7, available=number % 3 > 0, battery_pct=number % 100)
        view.apply(one.device_id, one)
        devices.append(one)
    return view, devices


@given(
    place=st.sampled_from(PLACES),
    off_e7=st.tuples(st.integers(-150_000, 150_000), st.integers(-150_000, 150_000)),
    radius_m=st.floats(20, 10_000),
    limit=st.integers(1, 200),
    wanted=st.builds(MapFilter, only_available=st.booleans(), min_battery_pct=st.sampled_from([0, 50, 99])),
)
def test_in_a_crowd_nearby_is_what_brute_force_finds(
    place: Point, off_e7: tuple[int, int], radius_m: float, limit: int, wanted: MapFilter
) -> None:
    view, devices = _crowd(place)
    lat_e7 = max(-90 * E7, min(90 * E7, place.lat_e7 + off_e7[0]))
    centre = Point(lat_e7, (place.lon_e7 + off_e7[1] + 180 * E7) % (360 * E7) - 180 * E7)
    exact = sorted(
        haversine_m(centre, Point(one.lat_e7, one.lon_e7))
        for one in devices
        if wanted.accepts(traits_of(one))
    )
    found = view.nearby(centre, radius_m, wanted, limit=limit)
    # Rounding may decide about a device that stands on the circle to the millimetre.
    surely = sum(distance_m < radius_m - 1e-3 for distance_m in exact[:limit])
    assert surely <= len(found) <= limit
    for (one, told_m), exact_m in zip(found, exact, strict=False):
        assert wanted.accepts(traits_of(one))
        assert told_m <= radius_m
        assert abs(told_m - exact_m) < 1e-2
        assert abs(haversine_m(centre, Point(one.lat_e7, one.lon_e7)) - told_m) < 1e-2
