"""A fleet and what will happen to it, from what a person asked for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from device_sim import replay
from device_sim.demand import Hub, Town, singapore, town_around
from device_sim.fleet import Fleet, build_fleet
from device_sim.happenings import Trip
from device_sim.misbehaviour import Misbehaviour
from device_sim.movement import Place
from device_sim.profiles import DEFAULT_MIX, Kind, parse_mix, split_by_weight
from device_sim.trip_count import TripCount

HOUR_MS = 3_600_000
DEFAULT_SPEED = 60.0
BIKES_ONLY: Mapping[Kind, int] = {Kind.BIKE: 1}
REPLAY_HELP = (
    f"Ride the trips of this CSV file: UTF-8, may be .gz, with the columns {', '.join(replay.COLUMNS)}."
    " Its bikes only, unless --devices or --mix ask for more."
)
COLUMN_HELP = "A column of it that has another name, repeatable: --map start=departed_at"


@dataclass(frozen=True, slots=True)
class Replay:
    """A file of trips and how to read it."""

    path: Path
    mapping: Mapping[str, str]
    from_hour: float = 0.0
    """Skip so many hours of the file."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Who lives, and by what."""

    fleet: Fleet
    trips: Iterator[Trip] | None = None
    starts_ms: int | None = None
    """Simulated instant of the start; None is now."""
    file: TripCount | None = None
    """What the trips are from."""


@dataclass(frozen=True, slots=True)
class Asked:
    """How large a fleet, of what, and from which seed and secret."""

    devices: int
    seed: int
    secret: bytes
    mix: Mapping[Kind, int] = field(default_factory=lambda: DEFAULT_MIX)
    misbehave: Mapping[Misbehaviour, float] = field(default_factory=dict)
    """Share of the devices that obey commands, by what is wrong with them."""


def mix_asked(text: str, *, bikes_only: bool) -> Mapping[Kind, int]:
    """The weights that were asked for, else bikes only or the default. Raises BadMix."""
    if text:
        return parse_mix(text)
    # Whoever brings real bikes wants to see these, and not cabinets that nobody asked for.
    return BIKES_ONLY if bikes_only else DEFAULT_MIX


def fictional(asked: Asked, *, centre: Place | None = None) -> Scenario:
    """A fleet in the default town, or in a made-up one around a centre."""
    town = singapore() if centre is None else town_around(centre, Random(f"town {asked.seed}"))
    fleet = build_fleet(
        asked.devices,
        seed=asked.seed,
        secret=asked.secret,
        mix=asked.mix,
        town=town,
        misbehave=asked.misbehave,
    )
    return Scenario(fleet)


def replayed(source: Replay, asked: Asked) -> Scenario:
    """A fleet whose bikes ride the trips of a file; what else is in the mix lives around them.

    Raises BadTripFile, OSError.
    """
    file = replay.read_trips(source.path, source.mapping)
    begins_ms = file.starts_ms + round(source.from_hour * HOUR_MS)
    weights = {str(kind): weight for kind, weight in asked.mix.items()}
    bikes = split_by_weight(asked.devices, weights).get("bike", 0)
    cast = replay.cast(file, bikes=bikes, begins_ms=begins_ms)
    if not cast.places:
        raise replay.BadTripFile("no trip begins after --from-hour, or the mix has no bikes")
    fleet = build_fleet(
        asked.devices - (bikes - len(cast.places)),
        seed=asked.seed,
        secret=asked.secret,
        mix={**asked.mix, Kind.BIKE: 0},
        town=_town_of(file, cast, asked.seed),
        bike_places=cast.places,
        misbehave=asked.misbehave,
    )
    trips = replay.rides(file, cast, begins_ms=begins_ms)
    return Scenario(fleet, trips, begins_ms, file.count(len(cast.places)))


def _town_of(file: replay.TripFile, cast: replay.Cast, seed: int) -> Town:
    """Quarters where bikes of the file stand."""
    chance = Random(f"town {seed}")
    spots = chance.sample(cast.places, min(40, len(cast.places)))
    return Town(file.area(), tuple(Hub(spot, 1, 400.0) for spot in spots))
