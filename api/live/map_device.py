"""A device as maps show it, in JSON."""

from functools import lru_cache

from msgspec import Raw, Struct
from msgspec.json import encode

from gateway.core.device import Kind
from gateway.core.live_state import MapEntry, Reason
from geo.point import E7

KIND_NAMES = {kind.value: kind.name.lower() for kind in Kind}
REASON_NAMES = {reason.value: reason.name.lower() for reason in Reason}

_CACHED_ENTRIES = 65_536
"""What the busiest views hold between them; about 20 MB."""


_NONE: list["NamedReason"] = []
"""Shared by all that are rentable, and never written to."""


class NamedReason(Struct, frozen=True, gc=False):
    """Why a device is not rentable, and since when (Unix ms)."""

    reason: str
    since: int


class MapDevice(Struct, frozen=True, gc=False):
    """One device on a map. Positions in degrees, `at` in Unix ms; no device id."""

    id: str
    marker: int
    kind: str
    lat: float
    lon: float
    available: bool
    reasons: list[NamedReason]
    battery_pct: int | None
    units: int
    spaces: int
    at: int


class NearDevice(MapDevice, frozen=True, gc=False):
    """One device with its distance."""

    distance_m: float


def map_device(entry: MapEntry) -> MapDevice:
    """The public form of an entry."""
    return MapDevice(
        entry.public_id,
        entry.marker,
        KIND_NAMES[entry.kind],
        entry.lat_e7 / E7,
        entry.lon_e7 / E7,
        entry.available,
        _named(entry),
        entry.battery_pct,
        entry.units,
        entry.spaces,
        entry.at_ms,
    )


def near_device(entry: MapEntry, distance_m: float) -> NearDevice:
    """The public form of an entry that is so far away."""
    # Fields named twice, here and above: fifty calls of a common function would be a tenth of an answer.
    return NearDevice(
        entry.public_id,
        entry.marker,
        KIND_NAMES[entry.kind],
        entry.lat_e7 / E7,
        entry.lon_e7 / E7,
        entry.available,
        _named(entry) if entry.reasons else _NONE,
        entry.battery_pct,
        entry.units,
        entry.spaces,
        entry.at_ms,
        distance_m,
    )


def _named(entry: MapEntry) -> list[NamedReason]:
    return [NamedReason(REASON_NAMES[reason], since_ms) for reason, since_ms in entry.reasons]


@lru_cache(maxsize=_CACHED_ENTRIES)
def map_device_json(entry: MapEntry) -> Raw:
    """The JSON of an entry, made once and shared by every frame that carries it."""
    return Raw(encode(map_device(entry)))
