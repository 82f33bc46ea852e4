"""The fleet of the benchmark `nearby`, and the answers that are right by brute force."""

from random import Random

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from firmware_protocol.messages import DeviceId
from gateway.core.device import Kind
from gateway.core.live_state import MapEntry
from geo.point import EARTH_RADIUS_M, Point

SIDE_E7 = 3_000_000
"""0.3 by 0.3 degrees at 31 degrees north are 950 km²: with a million devices, a thousand per km²."""

HUBS = 60
HUB_SPREAD_E7 = 250_000
"""About 2.8 km, so that the hubs overlap as the quarters of a city do."""


class City(Struct, frozen=True):
    """Positions of a fleet around hubs."""

    lat_e7: list[int]
    lon_e7: list[int]

    def entry(self, index: int) -> MapEntry:
        """One device of ten is a cabinet, the others are bikes; all are available."""
        return MapEntry(
            device_id=DeviceId(f"near-{index:07d}"),
            public_id=f"p{index:07d}",
            marker=100_000_000 + index,
            operator_id=1,
            kind=Kind.CABINET if index % 10 == 0 else Kind.BIKE,
            lat_e7=self.lat_e7[index],
            lon_e7=self.lon_e7[index],
            available=True,
            reasons=(),
            battery_pct=50 + index % 50,
            units=1,
            spaces=0,
            claimed=False,
            at_ms=0,
        )

    def thinned(self, keep_one_of: int) -> "City":
        """The same streets with fewer devices."""
        return City(self.lat_e7[::keep_one_of], self.lon_e7[::keep_one_of])

    def places(self, count: int, chance: Random) -> list[Point]:
        """Where people ask: 40 m beside a device, so most ask where most devices are."""
        picks = [chance.randrange(len(self.lat_e7)) for _ in range(count)]
        return [Point(self.lat_e7[pick] + 3_000, self.lon_e7[pick] - 3_000) for pick in picks]


def build_city(count: int, chance: Random) -> City:
    """A fleet of `count` devices in one dense city."""
    hubs = [
        (312_000_000 + chance.randrange(SIDE_E7), 1_214_000_000 + chance.randrange(SIDE_E7))
        for _ in range(HUBS)
    ]
    lat_e7, lon_e7 = [], []
    for _ in range(count):
        lat, lon = chance.choice(hubs)
        lat_e7.append(lat + int(chance.gauss(0, HUB_SPREAD_E7)))
        lon_e7.append(lon + int(chance.gauss(0, HUB_SPREAD_E7)))
    return City(lat_e7, lon_e7)


class BruteForce:
    """Looks at every device of a city, for every question."""

    def __init__(self, city: City) -> None:
        self._lat = np.radians(np.array(city.lat_e7) / 1e7)
        self._lon = np.radians(np.array(city.lon_e7) / 1e7)

    def nearest(self, centre: Point, radius_m: float, limit: int) -> list[int]:
        """Indexes of the nearest within the radius by the haversine formula, nearest first."""
        distance_m = self._distances_m(centre)
        inside = np.flatnonzero(distance_m <= radius_m)
        return [int(index) for index in inside[np.argsort(distance_m[inside])][:limit]]

    def count(self, centre: Point, radius_m: float) -> int:
        """How many devices are within the radius."""
        return int(np.count_nonzero(self._distances_m(centre) <= radius_m))

    def _distances_m(self, centre: Point) -> NDArray[np.float64]:
        lat0, lon0 = np.radians(centre.lat_e7 / 1e7), np.radians(centre.lon_e7 / 1e7)
        north, east = np.sin((self._lat - lat0) / 2), np.sin((self._lon - lon0) / 2)
        half = north**2 + np.cos(self._lat) * np.cos(lat0) * east**2
        distance_m: NDArray[np.float64] = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(half))
        return distance_m
