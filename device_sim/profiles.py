"""The device models of a simulated fleet: what firmware they run, how often they report, what they hold."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum


class Kind(StrEnum):
    """What is shared."""

    BIKE = "bike"
    CABINET = "cabinet"
    LOCKER = "locker"


class Level(StrEnum):
    """Which part of the wire the firmware speaks."""

    BASIC = "basic"
    """Reports only, stamped with the Unix time in milliseconds."""
    FULL = "full"
    """Hello, boot numbers, kept reports and receipts."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One device model."""

    model: str
    kind: Kind
    level: Level
    heartbeat_s: int
    """Between two reports of a device to which nothing happens."""
    quiet_after_s: int
    lost_after_s: int
    busy_period_s: float = 0.0
    """Between two reports of a device in use; 0 where use makes no stream of reports."""
    slot_count: int = 0
    battery_low_pct: int = 15
    electric: bool = False
    """The battery moves the vehicle, so a ride drains it."""
    json: bool = False
    """Speaks JSON; the others speak CBOR."""
    firmware: str = "sim-1.4.0"
    share: int = 1
    """Its weight among the models of its kind."""
    quirks: tuple[str, ...] = ()
    """What the registry is to know of its firmware."""


# A parked vehicle reports every 4-5 minutes, a ridden one every 10-15 s; cabinets on sale every 9 minutes.
PROFILES: tuple[Profile, ...] = (
    Profile("sim-bike", Kind.BIKE, Level.FULL, 270, 675, 1_800, busy_period_s=12.0, share=5),
    Profile("sim-ebike", Kind.BIKE, Level.FULL, 240, 600, 1_800, busy_period_s=10.0, electric=True, share=3),
    Profile(
        "sim-basic-lock", Kind.BIKE, Level.BASIC, 300, 750, 1_800, busy_period_s=15.0, json=True, share=2
    ),
    Profile("sim-cabinet-12", Kind.CABINET, Level.FULL, 540, 1_350, 3_600, slot_count=12, share=3),
    Profile("sim-cabinet-24", Kind.CABINET, Level.FULL, 540, 1_350, 3_600, slot_count=24, json=True, share=1),
    Profile("sim-locker-16", Kind.LOCKER, Level.FULL, 540, 1_350, 3_600, slot_count=16, share=1),
)

DEFAULT_MIX: Mapping[Kind, int] = {Kind.BIKE: 84, Kind.CABINET: 11, Kind.LOCKER: 5}


def with_quirk(profile: Profile, quirk: str) -> Profile:
    """The same hardware with worse firmware: a model of its own."""
    return replace(profile, model=f"{profile.model}-{quirk.replace('_', '-')}", quirks=(quirk,))


class BadMix(ValueError):
    """A mix that names no kind, an unknown kind or a negative weight."""


def parse_mix(text: str) -> dict[Kind, int]:
    """`bike=80,cabinet=15,locker=5` as weights. Raises BadMix."""
    mix: dict[Kind, int] = {}
    for part in text.split(","):
        name, _, weight = part.strip().partition("=")
        if name not in set(Kind) or not weight.isdigit():
            raise BadMix(f"{part!r}: expected one of {', '.join(Kind)} followed by =WEIGHT")
        mix[Kind(name)] = int(weight)
    if sum(mix.values()) == 0:
        raise BadMix("a mix needs at least one weight above zero")
    return mix


def split_by_weight(count: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Whole numbers in the ratio of the weights that add up to `count`."""
    total = sum(weights.values()) or 1
    exact = {name: count * weight / total for name, weight in weights.items()}
    shares = {name: int(value) for name, value in exact.items()}
    # Largest remainders take what rounding down left over; names settle ties so that the split is stable.
    by_remainder = sorted(exact, key=lambda name: (shares[name] - exact[name], name))
    for name in by_remainder[: count - sum(shares.values())]:
        shares[name] += 1
    return shares
