"""Where rides start and end, and when: a plausible town from a seed."""

from dataclasses import dataclass
from random import Random

from device_sim.movement import METRES_PER_DEGREE, Area, Place, distance_m, offset

SINGAPORE = Area(south=1.20, west=103.60, north=1.48, east=104.05)
"""The default town, so that the fictional fleet and public trip files share a map."""

# (latitude, longitude, weight): round figures of where many people live or change trains.
_SINGAPORE_HUBS = (
    (1.284, 103.851, 9), (1.300, 103.856, 8), (1.304, 103.832, 8), (1.320, 103.843, 5), (1.334, 103.850, 6),
    (1.351, 103.848, 5), (1.370, 103.849, 6), (1.429, 103.836, 5), (1.437, 103.787, 5), (1.333, 103.742, 7),
    (1.315, 103.765, 5), (1.294, 103.806, 5), (1.349, 103.750, 4), (1.385, 103.744, 4), (1.339, 103.706, 4),
    (1.353, 103.945, 7), (1.373, 103.949, 4), (1.324, 103.930, 6), (1.405, 103.902, 4), (1.392, 103.895, 5),
    (1.372, 103.892, 5), (1.350, 103.873, 5), (1.318, 103.892, 6),
)  # fmt: skip

MEAN_RIDE_SPEED_MPS = 3.6
"""Door to door, lights included: 13 km/h."""
MEAN_PARKED_S = 5_400.0
"""Between two rides of one bike: with rides of ten minutes one bike in ten is on the road."""
MEAN_CABINET_TAKE_S = 2_400.0
MEAN_BANK_OUT_S = 5_400.0
MEAN_DOOR_USE_S = 3_600.0


@dataclass(frozen=True, slots=True)
class Hub:
    """A quarter people come from and go to."""

    centre: Place
    weight: int
    spread_m: float


class Town:
    """A town of hubs: devices stand around them, rides go within one or to a near one."""

    def __init__(self, area: Area, hubs: tuple[Hub, ...]) -> None:
        self.area = area
        self.hubs = hubs
        self._weights = [hub.weight for hub in hubs]
        self._near = {hub: self._ranked_from(hub) for hub in hubs}

    def place(self, chance: Random) -> Place:
        """Somewhere a device may stand."""
        return self._around(chance.choices(self.hubs, self._weights)[0], chance)

    def destination(self, start: Place, chance: Random) -> Place:
        """Where a ride from `start` ends: two in three stay in the quarter."""
        nearest = min(self.hubs, key=lambda hub: _square(start, hub.centre))
        if chance.random() < 0.66:
            return self._around(nearest, chance)
        return self._around(chance.choice(self._near[nearest]), chance)

    def _around(self, hub: Hub, chance: Random) -> Place:
        north_m, east_m = (chance.gauss(0.0, hub.spread_m) for _ in range(2))
        bound_m = 2.2 * hub.spread_m
        return self.area.clip(
            offset(
                hub.centre,
                north_m=min(max(north_m, -bound_m), bound_m),
                east_m=min(max(east_m, -bound_m), bound_m),
            )
        )

    def _ranked_from(self, hub: Hub) -> list[Hub]:
        others = sorted(self.hubs, key=lambda other: distance_m(hub.centre, other.centre))
        return others[1:4] or others


def _square(one: Place, other: Place) -> float:
    return (one.lat_deg - other.lat_deg) ** 2 + (one.lon_deg - other.lon_deg) ** 2


def singapore() -> Town:
    """The default town."""
    return Town(SINGAPORE, tuple(Hub(Place(lat, lon), weight, 650.0) for lat, lon, weight in _SINGAPORE_HUBS))


def town_around(centre: Place, chance: Random, *, radius_m: float = 6_000.0) -> Town:
    """A fictional town of twelve quarters around any centre."""
    reach_deg = radius_m / METRES_PER_DEGREE
    area = Area(
        south=centre.lat_deg - reach_deg,
        west=offset(centre, north_m=0.0, east_m=-radius_m).lon_deg,
        north=centre.lat_deg + reach_deg,
        east=offset(centre, north_m=0.0, east_m=radius_m).lon_deg,
    )
    hubs = [Hub(centre, 8, radius_m / 9)]
    for _ in range(11):
        away_m = 0.7 * radius_m
        spot = offset(centre, north_m=chance.uniform(-away_m, away_m), east_m=chance.uniform(-away_m, away_m))
        hubs.append(Hub(spot, chance.randint(2, 6), radius_m / 12))
    return Town(area, tuple(hubs))
