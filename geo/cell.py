"""Web-mercator map tiles as cells: of a point, over a box, and their parents."""

from collections.abc import Iterator
from math import atanh, pi, radians, sin
from typing import NamedTuple, NewType

from geo.box import BoundingBox
from geo.point import E7, FULL_TURN_E7

CellId = NewType("CellId", int)
"""level, y and x packed into one integer: level << 52 | y << 26 | x."""

DEEPEST_LEVEL = 26
"""A tile of 60 cm at the equator: finer than any fix, and the packed form stays below 2**58."""

_AXIS_BITS = 26
_AXIS_MASK = (1 << _AXIS_BITS) - 1
_LEVEL_SHIFT = 2 * _AXIS_BITS
_SIDE = 1 << DEEPEST_LEVEL
_HALF_TURN_E7 = FULL_TURN_E7 // 2


class TooManyCells(Exception):
    """A cover would need more cells than its caller can bear."""

    def __init__(self, needed: int, limit: int) -> None:
        super().__init__(f"{needed} cells cover the box, at most {limit} are allowed")
        self.needed = needed
        self.limit = limit


def cell_at(lat_e7: int, lon_e7: int, level: int) -> CellId:
    """The cell that holds the point; beyond the mercator limit (±85.05°) the outermost row."""
    shift = DEEPEST_LEVEL - level
    return _pack(level, column_of(lon_e7) >> shift, row_of(lat_e7) >> shift)


def parent(cell: CellId, level: int) -> CellId:
    """The cell of a coarser (or the same) level that holds this one."""
    shift = (cell >> _LEVEL_SHIFT) - level
    return _pack(level, (cell & _AXIS_MASK) >> shift, (cell >> _AXIS_BITS & _AXIS_MASK) >> shift)


def level_of(cell: CellId) -> int:
    """How deep the cell is; 0 is the whole earth."""
    return cell >> _LEVEL_SHIFT


class CellSpan(NamedTuple):
    """A rectangle of cells of one level, edges inside."""

    level: int
    left: int
    right: int
    top: int
    bottom: int

    @property
    def size(self) -> int:
        """How many cells it has."""
        return (self.right - self.left + 1) * (self.bottom - self.top + 1)

    def cells(self) -> Iterator[CellId]:
        """Row by row from the north-west."""
        for y in range(self.top, self.bottom + 1):
            for x in range(self.left, self.right + 1):
                yield _pack(self.level, x, y)

    def holds(self, cell: CellId) -> bool:
        """Whether a cell of the same level is one of them."""
        x, y = cell & _AXIS_MASK, cell >> _AXIS_BITS & _AXIS_MASK
        return self.left <= x <= self.right and self.top <= y <= self.bottom


def spans_over(box: BoundingBox, level: int) -> tuple[CellSpan, ...]:
    """The one or two rectangles of cells that touch the box; they share no cell."""
    shift = DEEPEST_LEVEL - level
    top, bottom = row_of(box.north_e7) >> shift, row_of(box.south_e7) >> shift
    columns = [(column_of(part.west_e7) >> shift, column_of(part.east_e7) >> shift) for part in box.parts()]
    # Two parts that meet in one wide cell are one rectangle around the whole earth.
    if len(columns) == 2 and columns[1][1] >= columns[0][0]:
        columns = [(columns[1][0], columns[0][1])]
    return tuple(CellSpan(level, left, right, top, bottom) for left, right in columns)


def cover(box: BoundingBox, *, level: int, limit: int) -> frozenset[CellId]:
    """Cells that touch the box. Raises TooManyCells above `limit`; never truncates."""
    spans = spans_over(box, level)
    needed = sum(span.size for span in spans)
    if needed > limit:
        raise TooManyCells(needed, limit)
    return frozenset(cell for span in spans for cell in span.cells())


def deepest_cover(box: BoundingBox, *, deepest: int, limit: int) -> frozenset[CellId]:
    """The cover of the finest level, `deepest` at most, that needs no more than `limit` (>= 2)."""
    for level in range(deepest, 0, -1):
        try:
            return cover(box, level=level, limit=limit)
        except TooManyCells:
            continue
    return frozenset((_pack(0, 0, 0),))


def column_of(lon_e7: int) -> int:
    """Tile column at the deepest level, by integer arithmetic; 180° east belongs to the last."""
    return min(((lon_e7 + _HALF_TURN_E7) << DEEPEST_LEVEL) // FULL_TURN_E7, _SIDE - 1)


def row_of(lat_e7: int) -> int:
    """Tile row at the deepest level, counted from the north; monotonic in the latitude."""
    if abs(lat_e7) >= 89 * E7:
        return 0 if lat_e7 > 0 else _SIDE - 1
    north = atanh(sin(radians(lat_e7 / E7))) / pi
    return min(max(int((1.0 - north) / 2.0 * _SIDE), 0), _SIDE - 1)


def _pack(level: int, x: int, y: int) -> CellId:
    return CellId(level << _LEVEL_SHIFT | y << _AXIS_BITS | x)
