"""The packed rows hold what was put, whatever was taken out in between."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from api.live.device_grid import GRID_LEVEL, ROW_BYTES, DeviceGrid
from geo.box import BoundingBox
from geo.cell import cell_at
from tests.unit.geo.test_box import boxes, lats, lons

places = st.tuples(st.integers(0, 9), st.one_of(st.none(), st.tuples(lats, lons, st.integers(0, 1000))))


def _rows(packed: bytes) -> set[tuple[int, ...]]:
    return {struct.unpack_from("=iiii", packed, at) for at in range(0, len(packed), ROW_BYTES)}


@given(st.lists(places, max_size=60), boxes())
def test_rows_in_a_box_are_those_whose_cells_touch_it(
    steps: list[tuple[int, tuple[int, int, int] | None]], box: BoundingBox
) -> None:
    grid = DeviceGrid()
    model: dict[int, tuple[int, int, int]] = {}
    for slot, place in steps:
        if place is not None:
            grid.put(slot, lat_e7=place[0], lon_e7=place[1], traits=place[2])
            model[slot] = place
        elif model.pop(slot, None) is not None:
            grid.take_out(slot)
    packed = grid.rows_in(grid.occupied(box))
    assert _rows(grid.rows_around(box)) == _rows(packed)
    found = _rows(packed)
    assert len(found) == len(packed) // ROW_BYTES
    inside = {(*place, slot) for slot, place in model.items() if box.contains(place[0], place[1])}
    assert inside <= found <= {(*place, slot) for slot, place in model.items()}


def test_cells_count_their_rows_and_empty_ones_are_forgotten() -> None:
    grid = DeviceGrid()
    cell = cell_at(10, 10, GRID_LEVEL)
    for slot in range(3):
        grid.put(slot, lat_e7=10, lon_e7=10, traits=0)
    assert grid.row_count(cell) == 3
    for slot in range(3):
        grid.take_out(slot)
    assert grid.row_count(cell) == 0
    assert list(grid.occupied(BoundingBox(-1_800_000_000, -900_000_000, 1_800_000_000, 900_000_000))) == []
