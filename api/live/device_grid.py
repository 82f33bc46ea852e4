"""Positions and traits of all devices in packed rows, one run of rows per cell."""

from array import array
from collections.abc import Iterable, Iterator
from math import cos, inf, pi, radians, sqrt
from struct import Struct

from geo.box import BoundingBox
from geo.cell import CellId, CellSpan, cell_at, parent, spans_over
from geo.point import E7, EARTH_RADIUS_M, Point

GRID_LEVEL = 16
"""Tiles of 610 m at the equator and 390 m at 50°: the few that a 500 m circle touches hold little beyond it."""

_COARSE_LEVELS = (11, 7, 3)
"""Each group is 16 x 16 or 32 x 32 of the next finer ones, so a view of any width skips what is empty."""

_MAX_START_GROUPS = 64
"""What a descent starts from: level 3 has no more, so every box has such a cover."""

_MAX_PROBED_CELLS = 2_048
"""Below this, asking for each cell costs less (60 ns) than descending: a city at zoom 12."""

_ROW = Struct("=iiii")
ROW_BYTES = _ROW.size
"""lat_e7, lon_e7, traits, slot."""

_EQUATOR_SIDE_M = 2 * pi * EARTH_RADIUS_M / 2**GRID_LEVEL

_NOWHERE = -1


class DeviceGrid:
    """Rows by cell: O(1) to put and to take out, and contiguous to read."""

    def __init__(self) -> None:
        self._rows: dict[CellId, bytearray] = {}
        self._groups: tuple[dict[CellId, set[CellId]], ...] = tuple({} for _ in _COARSE_LEVELS)
        self._cell_of = array("q")
        self._index_of = array("i")

    def put(self, slot: int, *, lat_e7: int, lon_e7: int, traits: int) -> None:
        """Places or moves the device of this slot. Slots are small integers, given from 0 on."""
        while slot >= len(self._cell_of):
            self._cell_of.append(_NOWHERE)
            self._index_of.append(0)
        cell = cell_at(lat_e7, lon_e7, GRID_LEVEL)
        if self._cell_of[slot] == cell:
            offset = self._index_of[slot] * ROW_BYTES
            _ROW.pack_into(self._rows[cell], offset, lat_e7, lon_e7, traits, slot)
            return
        if self._cell_of[slot] != _NOWHERE:
            self.take_out(slot)
        rows = self._rows.get(cell)
        if rows is None:
            rows = self._rows[cell] = bytearray()
            self._occupy(cell)
        self._cell_of[slot] = cell
        self._index_of[slot] = len(rows) // ROW_BYTES
        rows += _ROW.pack(lat_e7, lon_e7, traits, slot)

    def take_out(self, slot: int) -> None:
        """Removes the row; the last row of its cell fills the hole."""
        cell = CellId(self._cell_of[slot])
        rows = self._rows[cell]
        last = rows[-ROW_BYTES:]
        del rows[-ROW_BYTES:]
        moved_slot = _ROW.unpack(last)[3]
        if moved_slot != slot:
            index = self._index_of[slot]
            rows[index * ROW_BYTES : (index + 1) * ROW_BYTES] = last
            self._index_of[moved_slot] = index
        self._cell_of[slot] = _NOWHERE
        if not rows:
            del self._rows[cell]
            self._vacate(cell)

    def rows_around(self, box: BoundingBox) -> bytes:
        """The rows of every cell that touches the box."""
        spans = spans_over(box, GRID_LEVEL)
        if _size(spans) > _MAX_PROBED_CELLS:
            return self.rows_in(self.occupied(box))
        rows_of = self._rows.get
        return b"".join([rows for span in spans for cell in span.cells() if (rows := rows_of(cell))])

    def rows_in(self, cells: Iterable[CellId]) -> bytes:
        """The rows of these cells, packed one after the other."""
        found = map(self._rows.get, cells)
        return b"".join(rows for rows in found if rows is not None)

    def occupied(self, box: BoundingBox) -> Iterator[CellId]:
        """Every cell with devices that touches the box, without visiting empty ones one by one."""
        spans = spans_over(box, GRID_LEVEL)
        if _size(spans) <= _MAX_PROBED_CELLS:
            return (cell for cell in _cells(spans) if cell in self._rows)
        for depth, level in enumerate(_COARSE_LEVELS[:-1]):
            spans = spans_over(box, level)
            if _size(spans) <= _MAX_START_GROUPS:
                return self._descend(box, _cells(spans), depth)
        return self._descend(box, _cells(spans_over(box, _COARSE_LEVELS[-1])), len(_COARSE_LEVELS) - 1)

    def row_count(self, cell: CellId) -> int:
        """Devices in the cell."""
        rows = self._rows.get(cell)
        return len(rows) // ROW_BYTES if rows is not None else 0

    def crowded_within_m(self, centre: Point, *, count: int) -> float:
        """The radius that holds `count` devices if they stand as close as in the cell of the centre: a guess.
        Infinite where that cell is empty."""
        rows = self._rows.get(cell_at(centre.lat_e7, centre.lon_e7, GRID_LEVEL))
        if rows is None:
            return inf
        side_m: float = _EQUATOR_SIDE_M * cos(radians(centre.lat_e7 / E7))
        return side_m * sqrt(count * ROW_BYTES / (pi * len(rows)))

    def _descend(self, box: BoundingBox, groups: Iterable[CellId], depth: int) -> Iterator[CellId]:
        spans = spans_over(box, _COARSE_LEVELS[depth - 1] if depth else GRID_LEVEL)
        for group in groups:
            children = self._groups[depth].get(group, ())
            inside = [child for child in children if any(span.holds(child) for span in spans)]
            if depth:
                yield from self._descend(box, inside, depth - 1)
            else:
                yield from inside

    def _occupy(self, cell: CellId) -> None:
        child = cell
        for groups, level in zip(self._groups, _COARSE_LEVELS, strict=True):
            group = parent(cell, level)
            children = groups.get(group)
            if children is not None:
                children.add(child)
                return
            groups[group] = {child}
            child = group

    def _vacate(self, cell: CellId) -> None:
        child = cell
        for groups, level in zip(self._groups, _COARSE_LEVELS, strict=True):
            group = parent(cell, level)
            children = groups[group]
            children.discard(child)
            if children:
                return
            del groups[group]
            child = group


def _size(spans: tuple[CellSpan, ...]) -> int:
    return sum(span.size for span in spans)


def _cells(spans: tuple[CellSpan, ...]) -> Iterator[CellId]:
    return (cell for span in spans for cell in span.cells())
