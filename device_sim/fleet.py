"""A fleet from a seed: which devices there are, where they stand, what they know of the wire."""

import hmac
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from device_sim.bike import Bike
from device_sim.cabinet import Bank, Cabinet
from device_sim.demand import Town, singapore
from device_sim.happenings import Trip
from device_sim.locker import Locker
from device_sim.misbehaviour import QUIRKS, Misbehaviour, cast
from device_sim.movement import Place
from device_sim.profiles import DEFAULT_MIX, PROFILES, Kind, Level, Profile, split_by_weight, with_quirk
from device_sim.world import Life, World
from firmware_protocol.messages import DeviceId

WARM_UP_MS = 1_800_000
"""Three mean rides: then as many bikes are on the road as ever will be."""
BANKS_PER_SLOT = 0.6
"""Room to return into, and enough to rent."""

_LETTERS: Mapping[Kind, str] = {Kind.BIKE: "B", Kind.CABINET: "C", Kind.LOCKER: "L"}


@dataclass(frozen=True, slots=True)
class FleetModel:
    """What a registry wants to know of a model."""

    model: str
    kind: str
    """`bike`, `cabinet` or `locker`."""
    heartbeat_s: int
    quiet_after_s: int
    lost_after_s: int
    battery_low_pct: int
    slot_count: int
    quirks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FleetDevice:
    """What a registry and a broker want to know of a device."""

    device_id: DeviceId
    model: str
    password: str
    home_lat_e7: int | None
    """Where a cabinet or locker stands; None for what moves."""
    home_lon_e7: int | None


@dataclass(frozen=True, slots=True)
class Fleet:
    """All devices of one simulation, by index, before anything happens."""

    seed: int
    secret: bytes
    town: Town
    profiles: tuple[Profile, ...]
    """One entry per device."""
    device_ids: tuple[DeviceId, ...]
    places: tuple[Place, ...]
    misbehaviours: Mapping[int, Misbehaviour] = field(default_factory=dict)
    """Of the devices that do not treat commands as they should."""

    def __len__(self) -> int:
        return len(self.device_ids)

    def natural_rate_per_s(self) -> float:
        """Reports per second if time ran at its own pace, with one bike in ten on the road."""
        return sum(
            0.9 / profile.heartbeat_s + 0.1 / (profile.busy_period_s or profile.heartbeat_s)
            for profile in self.profiles
        )

    def models(self) -> tuple[FleetModel, ...]:
        """The models that occur, by name."""
        present = sorted(set(self.profiles), key=lambda profile: profile.model)
        return tuple(
            FleetModel(
                profile.model,
                str(profile.kind),
                profile.heartbeat_s,
                profile.quiet_after_s,
                profile.lost_after_s,
                profile.battery_low_pct,
                profile.slot_count,
                profile.quirks,
            )
            for profile in present
        )

    def devices(self) -> tuple[FleetDevice, ...]:
        """Every device, as it is to be registered."""
        return tuple(
            FleetDevice(
                device_id,
                profile.model,
                password(self.secret, device_id),
                None if profile.kind is Kind.BIKE else place.lat_e7,
                None if profile.kind is Kind.BIKE else place.lon_e7,
            )
            for device_id, profile, place in zip(self.device_ids, self.profiles, self.places, strict=True)
        )

    def world(self, *, starts_ms: int, trips: Iterator[Trip] | None = None) -> World:
        """The lives of the fleet, begun a while before that instant so that some already ride; the same seed
        lives the same life."""
        begun_ms = starts_ms - WARM_UP_MS
        chance = Random(f"world {self.seed}")
        lives = [
            _life(index, profile, place, now_ms=begun_ms, chance=chance)
            for index, (profile, place) in enumerate(zip(self.profiles, self.places, strict=True))
        ]
        world = World(
            lives,
            self.town,
            chance=chance,
            noise=Random(f"noise {self.seed}"),
            starts_ms=begun_ms,
            trips=trips,
        )
        world.skip(starts_ms)
        return world


def password(secret: bytes, device_id: str) -> str:
    """The device's own password: who knows one knows no other."""
    return hmac.new(secret, device_id.encode(), "sha256").hexdigest()[:32]


def build_fleet(
    count: int,
    *,
    seed: int,
    secret: bytes,
    mix: Mapping[Kind, int] = DEFAULT_MIX,
    town: Town | None = None,
    bike_places: Sequence[Place] = (),
    misbehave: Mapping[Misbehaviour, float] = types.MappingProxyType({}),
) -> Fleet:
    """`count` devices, bikes first: one bike at each of `bike_places`, the others in the ratio of the mix.
    `misbehave` is the share of those that obey commands."""
    town = town or singapore()
    chance = Random(f"fleet {seed}")
    by_kind = split_by_weight(count - len(bike_places), {str(kind): weight for kind, weight in mix.items()})
    by_kind["bike"] = by_kind.get("bike", 0) + len(bike_places)
    profiles: list[Profile] = []
    device_ids: list[DeviceId] = []
    for kind in Kind:
        of_kind = _models_of(kind, by_kind.get(str(kind), 0), chance)
        profiles += of_kind
        device_ids += [DeviceId(f"SIM-{_LETTERS[kind]}{n:06d}") for n in range(1, len(of_kind) + 1)]
    places = list(bike_places)
    places += [town.place(chance) for _ in range(count - len(places))]
    able = [index for index, profile in enumerate(profiles) if profile.level is Level.FULL]
    misbehaviours = cast(able, misbehave, Random(f"misbehaviour {seed}"))
    for index, misbehaviour in misbehaviours.items():
        if misbehaviour in QUIRKS:
            profiles[index] = with_quirk(profiles[index], QUIRKS[misbehaviour])
    return Fleet(seed, secret, town, tuple(profiles), tuple(device_ids), tuple(places), misbehaviours)


def _models_of(kind: Kind, count: int, chance: Random) -> list[Profile]:
    by_name = {profile.model: profile for profile in PROFILES if profile.kind is kind}
    counts = split_by_weight(count, {name: profile.share for name, profile in by_name.items()})
    models = [by_name[name] for name in sorted(counts) for _ in range(counts[name])]
    chance.shuffle(models)
    return models


def _life(index: int, profile: Profile, place: Place, *, now_ms: int, chance: Random) -> Life:
    match profile.kind:
        case Kind.BIKE:
            return Bike(profile, place, now_ms=now_ms, chance=chance)
        case Kind.CABINET:
            banks = [
                Bank(f"PB{index:06d}{number:02d}", chance.uniform(20.0, 100.0), now_ms)
                for number in range(int(profile.slot_count * BANKS_PER_SLOT))
            ]
            return Cabinet(profile, place, banks=banks, chance=chance)
        case Kind.LOCKER:
            return Locker(profile, place, chance=chance)
