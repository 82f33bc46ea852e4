"""When a bike is used, and what the live state keeps of that, so that it is not shown again under the same id."""

from math import cos, radians

from firmware_protocol.messages import Bolt, Fix, Report
from gateway.core.change import E7_PER_M
from gateway.core.device import DeviceRecord
from gateway.core.live_state import UNKNOWN, Claim, LiveState, Presence, Reason
from geo.point import E7, FULL_TURN_E7

CARRIED_M = 100.0
"""A bike that counts no openings and stands further from where it stood, to the north or to the east, was ridden,
though nobody heard of it."""

_CARRIED_E7 = int(CARRIED_M) * E7_PER_M
_HALF_TURN_E7 = FULL_TURN_E7 // 2
_CLOSED = Bolt.CLOSED
_LOST = Presence.LOST
_OF_USE = frozenset({Reason.BOLT_NOT_CLOSED, Reason.CLAIMED, Reason.IN_MOTION})


def is_in_use(report: Report, claims: tuple[Claim, ...]) -> bool:
    """Whether somebody has the bike: its bolt is not closed, it is claimed, or, where no bolt tells, it moves."""
    lock = report.lock
    return bool(claims) or (lock.bolt is not _CLOSED if lock is not None else report.moving is True)


def use_after(
    state: LiveState | None, device: DeviceRecord, report: Report, claims: tuple[Claim, ...]
) -> tuple[int, int, int, bool]:
    """`openings`, `id_no` and `used_no` of the state after this report, and whether the bike is back from a use and
    waits for its id. The record may be older than what maps were shown last, or than what the state was made from:
    the highest number that is known counts as the used one."""
    openings, id_no, used_no, was_used = UNKNOWN, 0, 0, False
    if state is not None:
        openings, id_no, used_no = state.openings, state.id_no, state.used_no
    lock = report.lock
    if lock is not None:
        openings = lock.openings
    if state is not None and (openings <= 0 or openings != state.openings):
        was_used = _was_used(state, openings, report.fix)
    number = device.public_id_no
    if number > id_no:
        id_no = number
    in_use = is_in_use(report, claims)
    if in_use or was_used:
        used_no = id_no
    return openings, id_no, used_no, number <= used_no and not in_use


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
    north_e7, east_e7 = fix.lat_e7 - shown.lat_e7, fix.lon_e7 - shown.lon_e7
    # Of nearly every report: comparing comes before computing. A degree of longitude is nowhere longer than here.
    if -_CARRIED_E7 <= north_e7 <= _CARRIED_E7 and -_CARRIED_E7 <= east_e7 <= _CARRIED_E7:
        return False
    # Across the antimeridian the short way counts.
    turn_e7 = (east_e7 + _HALF_TURN_E7) % FULL_TURN_E7 - _HALF_TURN_E7
    east_e7_of_latitude = abs(turn_e7) * cos(radians(shown.lat_e7 / E7))
    return max(abs(north_e7), east_e7_of_latitude) > _CARRIED_E7 + fix.accuracy_m * E7_PER_M
