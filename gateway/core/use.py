"""When a bike is used, and what the live state keeps of that, so that it is not shown again under the same id."""

from firmware_protocol.messages import Bolt, Fix, Report
from gateway.core.change import E7_PER_M
from gateway.core.device import DeviceRecord
from gateway.core.live_state import UNKNOWN, Claim, LiveState, Presence, Reason

CARRIED_M = 100.0
"""A bike that counts no openings and stands further from where it stood was ridden, though nobody heard of it."""

_CLOSED = Bolt.CLOSED
_LOST = Presence.LOST
_OF_USE = frozenset({Reason.BOLT_NOT_CLOSED, Reason.CLAIMED, Reason.IN_MOTION})


def is_in_use(report: Report, claims: tuple[Claim, ...]) -> bool:
    """Whether somebody has the bike: its bolt is not closed, it is claimed, or, where no bolt tells, it moves."""
    lock = report.lock
    return bool(claims) or (lock.bolt is not _CLOSED if lock is not None else report.moving is True)


def use_after(
    state: LiveState | None, device: DeviceRecord, report: Report, claims: tuple[Claim, ...]
) -> tuple[int, int, int]:
    """`openings`, `id_no` and `used_no` of the state after this report. The record may be older than what maps were
    shown last, or than what the state was made from: the highest number that is known counts as the used one."""
    openings, id_no, used_no = UNKNOWN, 0, 0
    if state is not None:
        openings, id_no, used_no = state.openings, state.id_no, state.used_no
    if report.lock is not None:
        openings = report.lock.openings
    unheard = state is not None and _was_used(state, openings, report.fix)
    if device.public_id_no > id_no:
        id_no = device.public_id_no
    return openings, id_no, id_no if unheard or is_in_use(report, claims) else used_no


def _was_used(state: LiveState, openings: int, fix: Fix | None) -> bool:
    """Whether the bike was used between the newest report and this one, for all that is known."""
    if state.openings != openings and state.openings != UNKNOWN:
        return True
    if state.id_no == 0 and any(code in _OF_USE for code, _ in state.reasons):
        # A state of a gateway that did not note uses.
        return True
    if openings > 0 or fix is None:
        return False
    shown = state.entry
    if shown is None:
        return state.presence is _LOST
    carried_e7 = (CARRIED_M + fix.accuracy_m) * E7_PER_M
    return abs(fix.lat_e7 - shown.lat_e7) > carried_e7 or abs(fix.lon_e7 - shown.lon_e7) > carried_e7
