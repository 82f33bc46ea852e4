"""Online, quiet or lost: how long ago a device was heard, against its model's thresholds."""

from gateway.core.device import DeviceModel
from gateway.core.live_state import Presence

# Looking a member up in its enumeration costs ten times as much as a global name.
_ONLINE = Presence.ONLINE


def heard_at_ms(at_ms: int, received_ms: int) -> int:
    """A report from a drained backlog is no sign of life now."""
    return at_ms if at_ms < received_ms else received_ms


def presence_of(heard_ms: int, now_ms: int, model: DeviceModel) -> Presence:
    """By the silence up to `now_ms` (Unix ms, as `heard_ms`) alone."""
    silent_ms = now_ms - heard_ms
    if silent_ms < model.quiet_after_s * 1000:
        return _ONLINE
    if silent_ms < model.lost_after_s * 1000:
        return Presence.QUIET
    return Presence.LOST


def silent_since_ms(heard_ms: int, presence: Presence, model: DeviceModel) -> int:
    """When silence made the device quiet or lost (Unix ms)."""
    return heard_ms + (model.quiet_after_s if presence is Presence.QUIET else model.lost_after_s) * 1000


def next_silence_ms(heard_ms: int, presence: Presence, model: DeviceModel) -> int | None:
    """When continued silence next changes the presence (Unix ms); None once the device is lost."""
    if presence is Presence.ONLINE:
        return heard_ms + model.quiet_after_s * 1000
    if presence is Presence.QUIET:
        return heard_ms + model.lost_after_s * 1000
    return None
