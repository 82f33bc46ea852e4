"""A point on the earth, and how far two of them are apart."""

from math import asin, cos, radians, sin, sqrt
from typing import NamedTuple

EARTH_RADIUS_M = 6_371_008.8
"""IUGG mean radius: a sphere is within 0.6 % of the ellipsoid anywhere."""

E7 = 10_000_000
"""Positions are integers of 1e-7 degrees (about 1 cm), so equality is exact and 32 bits suffice."""

FULL_TURN_E7 = 360 * E7


class Point(NamedTuple):
    """WGS-84, in 1e-7 degrees."""

    lat_e7: int
    lon_e7: int


def from_degrees(lat_deg: float, lon_deg: float) -> Point:
    """The nearest representable point. Raises ValueError outside ±90 / ±180."""
    if not (-90.0 <= lat_deg <= 90.0 and -180.0 <= lon_deg <= 180.0):
        raise ValueError(f"not on the earth: lat {lat_deg}, lon {lon_deg}")
    return Point(round(lat_deg * E7), round(lon_deg * E7))


def haversine_m(one: Point, other: Point) -> float:
    """Great-circle distance in metres; exact on the sphere for any two points."""
    lat_one, lat_other = radians(one.lat_e7 / E7), radians(other.lat_e7 / E7)
    half_north = sin((lat_other - lat_one) / 2)
    half_east = sin(radians((other.lon_e7 - one.lon_e7) / E7) / 2)
    chord = half_north * half_north + cos(lat_one) * cos(lat_other) * half_east * half_east
    return 2 * EARTH_RADIUS_M * asin(min(1.0, sqrt(chord)))


def equirectangular_m(one: Point, other: Point) -> float:
    """Distance in metres as on a flat map of the neighbourhood.

    Within 0.1 % of the great circle for points at most 50 km apart and below 75° of latitude;
    not for anything larger or nearer to a pole.
    """
    turn = (other.lon_e7 - one.lon_e7 + FULL_TURN_E7 // 2) % FULL_TURN_E7 - FULL_TURN_E7 // 2
    middle = radians((one.lat_e7 + other.lat_e7) / 2 / E7)
    north = radians((other.lat_e7 - one.lat_e7) / E7)
    east = radians(turn / E7) * cos(middle)
    return EARTH_RADIUS_M * sqrt(north * north + east * east)
