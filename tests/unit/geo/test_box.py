"""Laws of boxes, also across the antimeridian."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.box import BoundingBox, around, from_degrees
from geo.point import E7, Point, haversine_m

lats = st.integers(-90 * E7, 90 * E7)
lons = st.integers(-180 * E7, 180 * E7)
points = st.builds(Point, lats, lons)


@st.composite
def boxes(draw: st.DrawFn) -> BoundingBox:
    south, north = sorted((draw(lats), draw(lats)))
    return BoundingBox(draw(lons), south, draw(lons), north)


@given(boxes(), points)
def test_a_point_is_in_a_box_exactly_when_it_is_in_one_of_its_parts(box: BoundingBox, point: Point) -> None:
    assert box.contains(*point) == any(part.contains(*point) for part in box.parts())
    assert all(part.west_e7 <= part.east_e7 for part in box.parts())


@given(boxes())
def test_a_box_contains_its_corners(box: BoundingBox) -> None:
    for lat_e7 in (box.south_e7, box.north_e7):
        for lon_e7 in (box.west_e7, box.east_e7):
            assert box.contains(lat_e7, lon_e7)


@given(points, points, st.floats(0.1, 50_000))
def test_every_point_within_the_radius_is_in_the_box_around(
    centre: Point, other: Point, radius_m: float
) -> None:
    # Of points drawn apart few are so near; the next test draws them near.
    if haversine_m(centre, other) <= radius_m:
        assert around(centre, radius_m).contains(*other)


@given(points, st.floats(1, 20_000), st.floats(-1, 1), st.floats(-1, 1))
def test_near_points_within_the_radius_are_in_the_box_around(
    centre: Point, radius_m: float, north: float, east: float
) -> None:
    reach_e7 = radius_m / 111_195 * E7
    lat_e7 = max(-90 * E7, min(90 * E7, round(centre.lat_e7 + north * reach_e7)))
    lon_e7 = (round(centre.lon_e7 + east * reach_e7 * 3) + 180 * E7) % (360 * E7) - 180 * E7
    if haversine_m(centre, Point(lat_e7, lon_e7)) <= radius_m:
        assert around(centre, radius_m).contains(lat_e7, lon_e7)


def test_a_view_panned_past_180_crosses_the_antimeridian() -> None:
    box = from_degrees(170.0, -10.0, 190.0, 10.0)
    assert box.contains(0, 175 * E7)
    assert box.contains(0, -175 * E7)
    assert not box.contains(0, 0)
    assert box == from_degrees(170.0, -10.0, -170.0, 10.0)


def test_a_view_of_more_than_the_earth_is_all_longitudes() -> None:
    box = from_degrees(-200.0, -80.0, 200.0, 80.0)
    assert box.contains(0, 180 * E7)
    assert box.contains(0, -180 * E7)
    assert not box.contains(81 * E7, 0)


def test_a_view_that_lacks_less_than_a_step_of_the_whole_earth_is_not_empty() -> None:
    box = from_degrees(0.0, -10.0, 359.99999999, 10.0)
    assert box.contains(0, 90 * E7)
    assert box.contains(0, -90 * E7)


@pytest.mark.parametrize(
    "edges",
    [(0, 10, 1, 5), (0, -91, 1, 0), (200, 0, 190, 1), (float("nan"), 0, 1, 1), (0, 0, float("inf"), 1)],
)
def test_what_is_no_box_is_refused(edges: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError):
        from_degrees(*edges)
