"""The nearest of many packed rows, by exact distance."""

from bisect import bisect_right
from math import cos, inf, radians, tan

import numpy as np
from numpy.typing import NDArray

from api.live.traits import MapFilter
from geo.box import BoundingBox
from geo.point import E7, EARTH_RADIUS_M, Point

_RADIANS_PER_E7 = radians(1 / E7)
_COLUMNS = 4
_EVERYTHING = MapFilter(only_available=False)

_FLAT_ENOUGH = 0.01
"""Largest error of the flat map's squared distances that is worth a margin instead of a sine per row."""

_FEW = 4
"""Times the limit: sorting so many rows by their exact distance costs less than leaving out the farther ones."""

_CELL_REACH_M = 1_000
"""Beyond the box a row can lie as far as the diagonal of its cell."""

_NEAR_THE_ANTIMERIDIAN_E7 = 1_700_000_000
_NEAR_A_POLE_E7 = 850_000_000

Rows = NDArray[np.int32]


def nearest(
    rows: bytes, centre: Point, box: BoundingBox, *, radius_m: float, wanted: MapFilter, limit: int
) -> tuple[list[int], list[float]]:
    """Slots and metres of at most `limit` rows within the radius, nearest first.

    `box` is around the circle: integers are compared first, because most of what the cells hold lies outside.
    """
    columns = np.frombuffer(rows, dtype=np.int32).reshape(-1, _COLUMNS)
    if wanted != _EVERYTHING:
        columns = columns.take(np.flatnonzero(wanted.accepts_each(columns[:, 2])), 0)
    error = _error_of_a_flat_map(centre, radius_m)
    if error < _FLAT_ENOUGH:
        columns = _promising(columns, centre, radius_m=radius_m, limit=limit, error=error)
    else:
        columns = _in_box(columns, box)
    chords = _squared_half_chords(columns, centre)
    order = chords.argsort()[:limit]
    chords = chords.take(order)
    distances_m = np.arcsin(np.sqrt(np.minimum(chords, 1.0)))
    distances_m *= 2 * EARTH_RADIUS_M
    metres: list[float] = distances_m.tolist()
    slots: list[int] = columns[:, 3].take(order).tolist()
    within = bisect_right(metres, radius_m)
    return slots[:within], metres[:within]


def _in_box(columns: Rows, box: BoundingBox) -> Rows:
    # A difference below zero is a huge unsigned number, so one comparison checks both edges. Latitudes span less
    # than 2**31, longitudes less than 2**32, and wrap as they should.
    height = np.uint32(box.north_e7 - box.south_e7)
    above = (columns[:, 0] - np.int32(box.south_e7)).view(np.uint32)
    columns = columns.take(np.flatnonzero(above <= height), 0)
    lon_e7 = columns[:, 1]
    if box.west_e7 <= box.east_e7:
        width = np.uint32(box.east_e7 - box.west_e7)
        return columns.take(np.flatnonzero((lon_e7 - np.int32(box.west_e7)).view(np.uint32) <= width), 0)
    return columns.take(np.flatnonzero((lon_e7 >= box.west_e7) | (lon_e7 <= box.east_e7)), 0)


def _error_of_a_flat_map(centre: Point, radius_m: float) -> float:
    """How wrong squared distances on a flat map may be, as a share of them; infinite across the antimeridian.

    The cosine changes over the circle by its reach times the tangent, and the earth bends by the square of the
    reach; both bounds are doubled. Rows come from whole cells, so the reach is longer than the radius.
    """
    if abs(centre.lon_e7) > _NEAR_THE_ANTIMERIDIAN_E7 or abs(centre.lat_e7) > _NEAR_A_POLE_E7:
        return inf
    reach = (radius_m + _CELL_REACH_M) / EARTH_RADIUS_M
    return 4 * reach * abs(tan(centre.lat_e7 * _RADIANS_PER_E7)) + 4 * reach * reach


def _promising(columns: Rows, centre: Point, *, radius_m: float, limit: int, error: float) -> Rows:
    """All rows that may be among the nearest, found on a flat map with a margin for its error."""
    away = columns[:, 1] - float(centre.lon_e7)
    away *= cos(centre.lat_e7 * _RADIANS_PER_E7)
    away *= away
    north = columns[:, 0] - float(centre.lat_e7)
    north *= north
    away += north
    margin = 1 + 2 * error
    hits = (away <= (radius_m / (EARTH_RADIUS_M * _RADIANS_PER_E7)) ** 2 * margin + 1).nonzero()[0]
    if len(hits) > _FEW * limit:
        away = away.take(hits)
        hits = hits.take((away <= np.partition(away, limit - 1)[limit - 1] * margin + 1).nonzero()[0])
    return columns.take(hits, 0)


def _squared_half_chords(columns: Rows, centre: Point) -> NDArray[np.float64]:
    """Haversines: they rise with the distance, and need an arc sine only for what is returned."""
    half_north = np.sin((columns[:, 0] - float(centre.lat_e7)) * (_RADIANS_PER_E7 / 2))
    half_east = np.sin((columns[:, 1] - float(centre.lon_e7)) * (_RADIANS_PER_E7 / 2))
    half_north *= half_north
    half_east *= half_east
    half_east *= np.cos(columns[:, 0] * _RADIANS_PER_E7)
    half_east *= cos(centre.lat_e7 * _RADIANS_PER_E7)
    chords: NDArray[np.float64] = half_east
    chords += half_north
    return chords
