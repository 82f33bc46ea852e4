"""What a map must hear of one device: Shown, Moved or Vanished, from before and after."""

from collections.abc import Callable

from msgspec import Struct

from firmware_protocol.messages import DeviceId
from gateway.core.live_state import MapEntry

E7_PER_M = 90
"""Ten-millionths of a degree of latitude in a metre: 1e7 / 111,320, rounded up."""

NOISE_M = 5.0
"""A good receiver standing still wanders this far."""

MAX_NOISE_M = 25.0
"""A fix with a worse accuracy than this may still be the only one there is: movements beyond it are shown."""

_LEAST_NOISE_E7, _MOST_NOISE_E7 = int(NOISE_M) * E7_PER_M, int(MAX_NOISE_M) * E7_PER_M

BATTERY_STEP_PCT = 5
"""Charge is shown in steps of this size, so that a fleet that discharges does not fill the feed."""


class Shown(Struct, frozen=True, gc=False):
    """The device is now in view and was not."""

    entry: MapEntry


class Moved(Struct, frozen=True, gc=False):
    """The device stays in view and looks different: place, units, charge or reasons."""

    entry: MapEntry


class Vanished(Struct, frozen=True, gc=False):
    """The device was in view and is not any more."""

    device_id: DeviceId
    public_id: str
    """The one it was shown under."""


Change = Shown | Moved | Vanished


def change_between(
    before: MapEntry | None, after: MapEntry | None, in_view: Callable[[MapEntry], bool]
) -> Change | tuple[Change, Change] | None:
    """What a viewer must hear; None when nothing they see differs. A device whose public id was rotated
    vanishes under the old one and is shown under the new."""
    was_seen = before is not None and in_view(before)
    is_seen = after is not None and in_view(after)
    if before is not None and was_seen:
        gone = Vanished(before.device_id, before.public_id)
        if after is None or not is_seen:
            return gone
        if after.public_id != before.public_id:
            return gone, Shown(after)
        return Moved(after) if after != before else None
    return Shown(after) if after is not None and is_seen else None


def noise_e7(accuracy_m: float, moving: bool | None) -> int:
    """How far a fix must lie from what is shown before a map hears of it, in degrees e7 of either axis."""
    if moving or accuracy_m <= NOISE_M:
        return _LEAST_NOISE_E7
    # Asked for every report: two comparisons cost less than min().
    return int(accuracy_m) * E7_PER_M if accuracy_m < MAX_NOISE_M else _MOST_NOISE_E7


def charge_stands(shown_pct: int | None, pct: int | None) -> bool:
    """Whether the charge that is shown still describes this one."""
    if shown_pct is None or pct is None:
        return shown_pct is pct
    return -BATTERY_STEP_PCT < pct - shown_pct < BATTERY_STEP_PCT
