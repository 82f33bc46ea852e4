"""How silence changes what the gateway believes of a device."""

from msgspec import structs

from gateway.core.advance import Advanced
from gateway.core.availability import Reasons, with_silence
from gateway.core.device import DeviceModel, Kind
from gateway.core.live_state import LiveState, MapEntry, Presence
from gateway.core.presence import presence_of

AHEAD_MS = 300_000
"""Clocks of gateways that follow each other on a lane disagree by less, and whoever sees a smaller step notices silence
later by no more than this."""


def hear_nothing(state: LiveState, model: DeviceModel, now_ms: int) -> Advanced | None:
    """The state once silence has made the device quieter; None while it has not. Only a report brings a
    device back. Who was heard well after `now_ms` (Unix ms) was heard by a clock that has been set back: their silence
    counts from now."""
    if state.heard_at_ms - now_ms > AHEAD_MS and state.presence is not Presence.LOST:
        return Advanced(
            state, structs.replace(state, revision=state.revision + 1, heard_at_ms=now_ms), announce=False
        )
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
