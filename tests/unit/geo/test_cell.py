"""Laws of cells: covers are complete, parents agree, nothing is truncated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.box import BoundingBox
from geo.cell import (
    DEEPEST_LEVEL,
    TooManyCells,
    cell_at,
    cover,
    deepest_cover,
    level_of,
    parent,
    row_of,
    spans_over,
)
from geo.point import E7, Point
from tests.unit.geo.test_box import boxes, lats, lons, points

levels = st.integers(0, DEEPEST_LEVEL)
small = st.integers(0, 3_000_000)


@st.composite
def small_boxes(draw: st.DrawFn) -> BoundingBox:
    west, south = draw(lons), draw(st.integers(-89 * E7, 89 * E7))
    east = (west + draw(small) + 180 * E7) % (360 * E7) - 180 * E7
    return BoundingBox(west, south, east, min(90 * E7, south + draw(small)))


@given(boxes(), points, st.integers(0, 5))
def test_the_cell_of_every_point_of_a_box_is_in_its_cover(box: BoundingBox, point: Point, level: int) -> None:
    if box.contains(*point):
        assert cell_at(*point, level) in cover(box, level=level, limit=1 << 12)


@given(small_boxes(), st.floats(0, 1), st.floats(0, 1))
def test_the_cell_of_every_point_of_a_small_box_is_in_its_cover(
    box: BoundingBox, up: float, along: float
) -> None:
    part = box.parts()[-1]
    lat_e7 = round(part.south_e7 + up * (part.north_e7 - part.south_e7))
    lon_e7 = round(part.west_e7 + along * (part.east_e7 - part.west_e7))
    cells = deepest_cover(box, deepest=15, limit=64)
    assert len(cells) <= 64
    assert cell_at(lat_e7, lon_e7, level_of(next(iter(cells)))) in cells


@given(points, levels, levels)
def test_the_parent_of_a_cell_is_the_cell_of_the_coarser_level(point: Point, one: int, other: int) -> None:
    coarse, fine = sorted((one, other))
    assert parent(cell_at(*point, fine), coarse) == cell_at(*point, coarse)
    assert level_of(cell_at(*point, fine)) == fine


@given(st.integers(-90 * E7, 90 * E7 - 1))
def test_rows_never_rise_to_the_north(lat_e7: int) -> None:
    assert row_of(lat_e7 + 1) <= row_of(lat_e7)


@given(small_boxes(), st.integers(10, 16))
def test_a_cover_is_whole_or_refused(box: BoundingBox, level: int) -> None:
    needed = sum(span.size for span in spans_over(box, level))
    assert len(cover(box, level=level, limit=needed)) == needed
    with pytest.raises(TooManyCells) as caught:
        cover(box, level=level, limit=needed - 1)
    assert caught.value.needed == needed


@given(small_boxes(), points)
def test_a_span_holds_exactly_the_cells_of_the_cover(box: BoundingBox, point: Point) -> None:
    cell = cell_at(*point, 8)
    held = any(span.holds(cell) for span in spans_over(box, 8))
    assert held == (cell in cover(box, level=8, limit=1 << 16))


def test_tiles_are_those_of_web_maps() -> None:
    # Berlin, zoom 10: tile 550/335 on every slippy map.
    cell = cell_at(525_200_000, 134_050_000, 10)
    assert cell == 10 << 52 | 335 << 26 | 550


@given(lats)
def test_the_last_meridian_belongs_to_the_last_column(lat_e7: int) -> None:
    assert cell_at(lat_e7, 180 * E7, 3) == cell_at(lat_e7, 180 * E7 - 1, 3)
