"""The new public id a used bike is shown under: nobody can follow it from one trip to the next."""

from msgspec import structs

from gateway.core.advance import Advanced
from gateway.core.device import DeviceRecord
from gateway.core.live_state import LiveState, Reason

_RETURNED = int(Reason.RETURNED)


def waits_for_its_id(state: LiveState) -> bool:
    """Whether the bike was used and came back, and is not shown until it has another public id."""
    reasons = state.reasons
    # They are in the order of their numbers, and this one is the highest.
    return bool(reasons) and reasons[-1][0] == _RETURNED


def shown_anew(state: LiveState, device: DeviceRecord) -> Advanced | None:
    """The state once the registry has a newer id than the one the bike was used under; None while it has not, or
    when the bike does not wait for one."""
    if not waits_for_its_id(state) or device.public_id_no <= state.used_no:
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
    after = structs.replace(
        state, revision=state.revision + 1, reasons=reasons, entry=entry, id_no=device.public_id_no
    )
    return Advanced(state, after, entry is not state.entry)
