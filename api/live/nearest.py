"""The nearest of many packed rows, by exact distance."""

from math import cos, radians, sin

import numpy as np
from numpy.typing import NDArray

from api.live.traits import MapFilter
from geo.box import BoundingBox, around
from geo.point import E7, EARTH_RADIUS_M, Point

_RADIANS_PER_E7 = radians(1 / E7)
_COLUMNS = 4


def nearest(
    rows: bytes, centre: Point, radius_m: float, *, wanted: MapFilter, limit: int
) -> tuple[list[int], list[float]]:
    """Slots and metres of at most `limit` rows within the radius, nearest first."""
    columns = np.frombuffer(rows, dtype=np.int32).reshape(-1, _COLUMNS)
    hits = wanted.accepts_each(columns[:, 2])
    # Comparing integers costs a twentieth of a sine: most of what the cells hold goes here.
    hits &= _within(columns, around(centre, radius_m))
    columns = columns[hits]
    chords = _squared_half_chords(columns, centre)
    # Haversines rise with the distance up to half the earth's girth, so nothing needs an arc sine
    # before it is known to be near.
    reach = sin(min(radius_m / EARTH_RADIUS_M / 2, np.pi / 2)) ** 2
    near = np.flatnonzero(chords <= reach)
    chords = chords[near]
    if len(near) > limit:
        chosen = np.argpartition(chords, limit - 1)[:limit]
        near, chords = near[chosen], chords[chosen]
    order = np.argsort(chords)
    distances_m = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.minimum(chords[order], 1.0)))
    return columns[near[order], 3].tolist(), distances_m.tolist()


def _within(columns: NDArray[np.int32], box: BoundingBox) -> NDArray[np.bool_]:
    lat_e7, lon_e7 = columns[:, 0], columns[:, 1]
    north = (lat_e7 >= box.south_e7) & (lat_e7 <= box.north_e7)
    if box.west_e7 <= box.east_e7:
        return north & (lon_e7 >= box.west_e7) & (lon_e7 <= box.east_e7)
    return north & ((lon_e7 >= box.west_e7) | (lon_e7 <= box.east_e7))


def _squared_half_chords(columns: NDArray[np.int32], centre: Point) -> NDArray[np.float64]:
    lat = columns[:, 0] * _RADIANS_PER_E7
    centre_lat = centre.lat_e7 * _RADIANS_PER_E7
    half_north = np.sin((lat - centre_lat) / 2)
    half_east = np.sin((columns[:, 1].astype(np.float64) - centre.lon_e7) * (_RADIANS_PER_E7 / 2))
    chords: NDArray[np.float64] = half_north * half_north
    chords += np.cos(lat) * cos(centre_lat) * (half_east * half_east)
    return chords
