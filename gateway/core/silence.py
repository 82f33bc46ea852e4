"""How silence changes what the gateway believes of a device."""

from msgspec import structs

from gateway.core.advance import Advanced
from gateway.core.availability import Reasons, with_silence
from gateway.core.device import DeviceModel, Kind
from gateway.core.live_state import LiveState, MapEntry, Presence
from gateway.core.presence import presence_of


def hear_nothing(state: LiveState, model: DeviceModel, now_ms: int) -> Advanced | None:
    """The state once silence has made the device quieter; None while it has not. Only a report brings a
    device back."""
    presence = presence_of(state.heard_at_ms, now_ms, model)
    if presence <= state.presence:
        return None
    reasons = with_silence(state.reasons, presence, state.heard_at_ms, model)
    entry = _entry_in_silence(state.entry, presence, reasons)
    after = structs.replace(
        state, revision=state.revision + 1, presence=presence, reasons=reasons, entry=entry
    )
    return Advanced(state, after, entry is not state.entry)


def _entry_in_silence(shown: MapEntry | None, presence: Presence, reasons: Reasons) -> MapEntry | None:
    """A lost device leaves the map; a quiet one stays on it with its reason."""
    if shown is None or presence is Presence.LOST:
        return None
    units = 0 if shown.kind == Kind.BIKE else shown.units
    return structs.replace(shown, available=False, reasons=reasons, units=units)
