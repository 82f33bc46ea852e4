"""When a bike was used, and the new public id it is shown under afterwards: nobody can follow it from trip to trip."""

from msgspec import structs

from gateway.core.advance import Advanced
from gateway.core.device import DeviceRecord
from gateway.core.live_state import LiveState, Reason

_RETURNED = int(Reason.RETURNED)


def waits_for_its_id(state: LiveState) -> bool:
    """Whether the bike was used and came back, and is not shown until it has another public id."""
    reasons = state.reasons
    # The reasons are in the order of their numbers, and this one is the last.
    return bool(reasons) and reasons[-1][0] == _RETURNED


def shown_anew(state: LiveState, device: DeviceRecord) -> Advanced | None:
    """The state once the registry has another id than the one the bike was used under; None while it has not, or
    when the bike does not wait for one."""
    if not waits_for_its_id(state) or device.public_id == state.used_as:
        return None
    reasons = state.reasons[:-1]
    entry = state.entry
    if entry is not None:
        entry = structs.replace(
            entry,
            public_id=device.public_id,
            marker=device.marker,
            available=not reasons,
            reasons=reasons,
            units=int(not reasons),
        )
    after = structs.replace(state, revision=state.revision + 1, reasons=reasons, entry=entry)
    return Advanced(state, after, entry is not state.entry)
