"""The nearest rows are those that brute force finds."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.live.nearest import nearest
from api.live.traits import AVAILABLE, MapFilter
from geo.box import around
from geo.point import Point, haversine_m
from tests.unit.geo.test_box import points

AROUND = MapFilter(only_available=False)


@given(st.lists(points, max_size=30), points, st.floats(1, 30_000_000), st.integers(1, 40))
def test_nearest_equals_brute_force(places: list[Point], centre: Point, radius_m: float, limit: int) -> None:
    rows = b"".join(struct.pack("=iiii", *place, 2, slot) for slot, place in enumerate(places))
    slots, distances_m = nearest(
        rows, centre, around(centre, radius_m), radius_m=radius_m, wanted=AROUND, limit=limit
    )
    exact = sorted(haversine_m(place, centre) for place in places)
    within = [distance_m for distance_m in exact if distance_m <= radius_m]
    # Rounding may decide about a point that lies on the circle to the millimetre.
    surely = [distance_m for distance_m in within if distance_m < radius_m * (1 - 1e-9) - 1e-3]
    assert len(surely[:limit]) <= len(slots) <= limit
    assert distances_m == pytest.approx(exact[: len(slots)], rel=1e-6, abs=0.2)
    assert [haversine_m(places[slot], centre) for slot in slots] == pytest.approx(
        distances_m, rel=1e-6, abs=0.2
    )
    assert len(set(slots)) == len(slots)


@given(
    st.builds(Point, st.integers(-800_000_000, 800_000_000), st.integers(-1_800_000_000, 1_800_000_000)),
    st.lists(st.tuples(st.integers(-60_000, 60_000), st.integers(-60_000, 60_000)), min_size=20, max_size=80),
    st.floats(50, 10_000),
    st.integers(1, 8),
)
def test_in_a_crowd_the_nearest_are_exactly_the_nearest(
    centre: Point, offsets: list[tuple[int, int]], radius_m: float, limit: int
) -> None:
    places = [Point(centre.lat_e7 + north, centre.lon_e7 + east) for north, east in offsets]
    places = [place for place in places if abs(place.lon_e7) <= 1_800_000_000]
    rows = b"".join(struct.pack("=iiii", *place, 2, slot) for slot, place in enumerate(places))
    box = around(centre, radius_m)
    _, distances_m = nearest(rows, centre, box, radius_m=radius_m, wanted=AROUND, limit=limit)
    within = sorted(d for d in (haversine_m(place, centre) for place in places) if d <= radius_m)
    assert distances_m == pytest.approx(within[:limit], abs=1e-3)


def test_the_filter_comes_before_the_limit() -> None:
    rows = struct.pack("=iiii", 0, 0, 2, 0) + struct.pack("=iiii", 90, 0, 2 | AVAILABLE, 1)
    assert nearest(rows, Point(0, 0), around(Point(0, 0), 100), radius_m=100, wanted=MapFilter(), limit=1)[
        0
    ] == [1]


def test_no_rows_are_no_devices() -> None:
    assert nearest(b"", Point(0, 0), around(Point(0, 0), 100), radius_m=100, wanted=MapFilter(), limit=5) == (
        [],
        [],
    )
