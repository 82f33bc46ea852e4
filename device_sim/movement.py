"""Moving over the ground and what a GPS receiver makes of it; pure."""

from dataclasses import dataclass
from itertools import pairwise
from math import cos, pi, radians
from random import Random

from firmware_protocol.messages import Fix
from geo.point import E7, EARTH_RADIUS_M, Point, equirectangular_m

METRES_PER_DEGREE = EARTH_RADIUS_M * pi / 180
"""Of latitude."""


@dataclass(frozen=True, slots=True)
class Place:
    """A true position in degrees (WGS-84)."""

    lat_deg: float
    lon_deg: float

    @property
    def lat_e7(self) -> int:
        return round(self.lat_deg * E7)

    @property
    def lon_e7(self) -> int:
        return round(self.lon_deg * E7)


@dataclass(frozen=True, slots=True)
class Area:
    """The rectangle in which a fleet lives."""

    south: float
    west: float
    north: float
    east: float

    def holds(self, place: Place) -> bool:
        return self.south <= place.lat_deg <= self.north and self.west <= place.lon_deg <= self.east

    def clip(self, place: Place) -> Place:
        """The nearest position that lies in the area."""
        return Place(
            min(max(place.lat_deg, self.south), self.north), min(max(place.lon_deg, self.west), self.east)
        )


def distance_m(one: Place, other: Place) -> float:
    """Metres between two places of one town."""
    return equirectangular_m(Point(one.lat_e7, one.lon_e7), Point(other.lat_e7, other.lon_e7))


def offset(place: Place, *, north_m: float, east_m: float) -> Place:
    """The place so many metres away."""
    return Place(
        place.lat_deg + north_m / METRES_PER_DEGREE,
        place.lon_deg + east_m / (METRES_PER_DEGREE * cos(radians(place.lat_deg))),
    )


@dataclass(frozen=True, slots=True)
class Route:
    """A ride from place to place between two instants, at even speed along bent streets."""

    corners: tuple[Place, ...]
    lengths_m: tuple[float, ...]
    starts_ms: int
    ends_ms: int

    @property
    def length_m(self) -> float:
        return sum(self.lengths_m)

    def at(self, now_ms: int) -> Place:
        """Where the rider is; the ends before the start and after the end."""
        if now_ms >= self.ends_ms or self.ends_ms <= self.starts_ms:
            return self.corners[-1]
        left_m = self.length_m * max(0, now_ms - self.starts_ms) / (self.ends_ms - self.starts_ms)
        for start, end, length_m in zip(self.corners, self.corners[1:], self.lengths_m, strict=False):
            if left_m < length_m:
                share = left_m / length_m
                return Place(
                    start.lat_deg + (end.lat_deg - start.lat_deg) * share,
                    start.lon_deg + (end.lon_deg - start.lon_deg) * share,
                )
            left_m -= length_m
        return self.corners[-1]


def bent_route(
    start: Place, end: Place, *, starts_ms: int, ends_ms: int, area: Area, chance: Random
) -> Route:
    """A route over two corners that stray from the straight line by up to a sixth of its length."""
    stray_m = distance_m(start, end) / 6
    corners = [start]
    for share in (1 / 3, 2 / 3):
        on_line = Place(
            start.lat_deg + (end.lat_deg - start.lat_deg) * share,
            start.lon_deg + (end.lon_deg - start.lon_deg) * share,
        )
        strayed = offset(
            on_line, north_m=chance.uniform(-stray_m, stray_m), east_m=chance.uniform(-stray_m, stray_m)
        )
        corners.append(area.clip(strayed))
    corners.append(end)
    lengths = tuple(distance_m(a, b) for a, b in pairwise(corners))
    return Route(tuple(corners), lengths, starts_ms, ends_ms)


def measured(place: Place, chance: Random, *, still: bool) -> Fix:
    """What the receiver says: off by a few metres; a parked device averages, so it strays less."""
    accuracy_m = chance.uniform(2.0, 6.0) if still else chance.uniform(4.0, 15.0)
    # The reported accuracy is about two standard deviations of each axis.
    sigma_e7 = accuracy_m / 2 / METRES_PER_DEGREE * E7
    return Fix(
        lat_e7=place.lat_e7 + round(chance.gauss(0.0, sigma_e7)),
        lon_e7=place.lon_e7 + round(chance.gauss(0.0, sigma_e7)),
        accuracy_m=round(accuracy_m, 1),
        age_ms=chance.randrange(200, 1_500),
    )
