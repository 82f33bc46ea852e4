"""A box of latitude and longitude that may cross the antimeridian."""

from math import asin, cos, degrees, pi, radians, sin
from typing import NamedTuple

from geo.point import E7, EARTH_RADIUS_M, FULL_TURN_E7, Point

EAST_END_E7 = 180 * E7
POLE_E7 = 90 * E7


class BoundingBox(NamedTuple):
    """Edges in 1e-7 degrees, all of them inside; west > east means it crosses the antimeridian."""

    west_e7: int
    south_e7: int
    east_e7: int
    north_e7: int

    def contains(self, lat_e7: int, lon_e7: int) -> bool:
        """Whether the point is in the box or on its edge."""
        if not self.south_e7 <= lat_e7 <= self.north_e7:
            return False
        if self.west_e7 <= self.east_e7:
            return self.west_e7 <= lon_e7 <= self.east_e7
        return lon_e7 >= self.west_e7 or lon_e7 <= self.east_e7

    def parts(self) -> tuple["BoundingBox", ...]:
        """The same area as one or two boxes that do not cross the antimeridian."""
        if self.west_e7 <= self.east_e7:
            return (self,)
        return (self._replace(east_e7=EAST_END_E7), self._replace(west_e7=-EAST_END_E7))


WHOLE_EARTH = BoundingBox(-EAST_END_E7, -POLE_E7, EAST_END_E7, POLE_E7)


def from_degrees(west: float, south: float, east: float, north: float) -> BoundingBox:
    """A box from edges in degrees.

    Longitudes may run past ±180, as the views of most map widgets do when they are panned around
    the earth. Raises ValueError for latitudes beyond ±90, south above north, or east left of west.
    """
    if not -90.0 <= south <= north <= 90.0:
        raise ValueError(f"latitudes must rise within ±90: south {south}, north {north}")
    if not (-540.0 <= west <= east <= 900.0 or -180.0 <= east < west <= 180.0):
        raise ValueError(f"longitudes must rise from west {west} to east {east}")
    # In the steps that edges have: a turn that is short by less than one would wrap to no width at all.
    if round(east * E7) - round(west * E7) >= FULL_TURN_E7:
        return WHOLE_EARTH._replace(south_e7=round(south * E7), north_e7=round(north * E7))
    return BoundingBox(_wrapped_e7(west), round(south * E7), _wrapped_e7(east), round(north * E7))


def around(centre: Point, radius_m: float) -> BoundingBox:
    """The smallest box, to 1e-7 degrees outwards, that holds every point within the radius."""
    reach_deg = degrees(radius_m / EARTH_RADIUS_M)
    reach_e7 = int(reach_deg * E7) + 1
    south, north = centre.lat_e7 - reach_e7, centre.lat_e7 + reach_e7
    if south <= -POLE_E7 or north >= POLE_E7:
        return WHOLE_EARTH._replace(south_e7=max(south, -POLE_E7), north_e7=min(north, POLE_E7))
    # The circle is widest nearer to the pole than its centre: sin(widest) = sin(reach) / cos(lat).
    ratio = sin(min(pi / 2, radians(reach_deg))) / cos(radians(centre.lat_e7 / E7))
    if ratio >= 1.0:
        return WHOLE_EARTH._replace(south_e7=south, north_e7=north)
    widest_e7 = int(degrees(asin(ratio)) * E7) + 2
    if 2 * widest_e7 >= FULL_TURN_E7:
        return WHOLE_EARTH._replace(south_e7=south, north_e7=north)
    west, east = _turned(centre.lon_e7 - widest_e7), _turned(centre.lon_e7 + widest_e7)
    return BoundingBox(west, south, east, north)


def _wrapped_e7(lon_deg: float) -> int:
    """Kept as it is within ±180, so that an edge at +180 stays an eastern edge."""
    lon_e7 = round(lon_deg * E7)
    return lon_e7 if -EAST_END_E7 <= lon_e7 <= EAST_END_E7 else _turned(lon_e7)


def _turned(lon_e7: int) -> int:
    return (lon_e7 + EAST_END_E7) % FULL_TURN_E7 - EAST_END_E7
