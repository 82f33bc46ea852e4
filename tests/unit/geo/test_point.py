"""Laws of distances."""

from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.point import E7, FULL_TURN_E7, Point, equirectangular_m, from_degrees, haversine_m

points = st.builds(Point, st.integers(-90 * E7, 90 * E7), st.integers(-180 * E7, 180 * E7))


@given(points, points)
def test_distance_is_symmetric_and_never_negative(one: Point, other: Point) -> None:
    assert haversine_m(one, other) == pytest.approx(haversine_m(other, one), abs=1e-6)
    assert haversine_m(one, other) >= 0


@given(points)
def test_distance_to_oneself_is_nothing(point: Point) -> None:
    assert haversine_m(point, point) == 0
    assert equirectangular_m(point, point) == 0


def test_paris_to_london_is_344_km() -> None:
    paris, london = from_degrees(48.8566, 2.3522), from_degrees(51.5074, -0.1278)
    assert haversine_m(paris, london) == pytest.approx(343_556, rel=1e-3)


def test_a_degree_of_latitude_is_111_km() -> None:
    assert haversine_m(Point(0, 0), Point(E7, 0)) == pytest.approx(111_195, rel=1e-4)


near_steps = st.integers(-2_000_000, 2_000_000)


@given(st.integers(-70 * E7, 70 * E7), st.integers(-180 * E7, 180 * E7), near_steps, near_steps)
def test_the_flat_map_is_right_to_a_thousandth_in_the_neighbourhood(
    lat_e7: int, lon_e7: int, north: int, east: int
) -> None:
    one, other = Point(lat_e7, lon_e7), Point(lat_e7 + north, lon_e7 + east)
    assert isclose(equirectangular_m(one, other), haversine_m(one, other), rel_tol=1e-3, abs_tol=0.05)


@given(points, points)
def test_a_whole_turn_changes_no_distance(one: Point, other: Point) -> None:
    turned = Point(other.lat_e7, other.lon_e7 + FULL_TURN_E7)
    assert haversine_m(one, turned) == pytest.approx(haversine_m(one, other), abs=0.1)


@pytest.mark.parametrize(("lat", "lon"), [(90.1, 0), (0, 180.1), (float("nan"), 0), (0, float("inf"))])
def test_what_is_not_on_the_earth_is_refused(lat: float, lon: float) -> None:
    with pytest.raises(ValueError):
        from_degrees(lat, lon)
