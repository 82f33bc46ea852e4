"""Why a device is not rentable: every reason, and since when."""

from firmware_protocol.messages import Alarm, Bolt
from gateway.core.device import DeviceModel, DeviceRecord, Kind, Status
from gateway.core.live_state import Claim, Presence, Reason
from gateway.core.presence import silent_since_ms
from gateway.core.stamped import StampedReport

Reasons = tuple[tuple[int, int], ...]
"""(Reason, since Unix ms), in the order of the reasons' numbers."""

NEVER_HEARD: Reasons = ((Reason.NEVER_HEARD, 0),)
"""Of a device that has no live state."""

_QUIET = int(Reason.QUIET)
_LOST = int(Reason.LOST)
_SUSPENDED = int(Reason.SUSPENDED)
_NO_POSITION = int(Reason.NO_POSITION)
_LOW_BATTERY = int(Reason.LOW_BATTERY)
_FAULT = int(Reason.FAULT)
_ALARM = int(Reason.ALARM)
_BOLT_NOT_CLOSED = int(Reason.BOLT_NOT_CLOSED)
_NO_UNITS = int(Reason.NO_UNITS)
_CLAIMED = int(Reason.CLAIMED)
_IN_MOTION = int(Reason.IN_MOTION)

# Looking a member up in its enumeration costs ten times as much as a global name.
_ACTIVE = Status.ACTIVE
_BIKE = Kind.BIKE
_CABINET = Kind.CABINET
_CLOSED = Bolt.CLOSED

_OF_SILENCE = frozenset({_QUIET, _LOST})


def reported_reasons(
    device: DeviceRecord, model: DeviceModel, stamped: StampedReport, claims: tuple[Claim, ...]
) -> list[int]:
    """What the report, the registry and the claims say against renting; silence is not judged here."""
    report = stamped.report
    codes: list[int] = []
    if device.status is not _ACTIVE:
        codes.append(_SUSPENDED)
    if report.fix is None and device.home_lat_e7 is None:
        codes.append(_NO_POSITION)
    # A cabinet runs on mains; its model's limit is for the banks in it.
    battery_pct = report.battery_pct
    if battery_pct is not None and battery_pct < model.battery_low_pct and model.kind is not _CABINET:
        codes.append(_LOW_BATTERY)
    if report.faults:
        codes.append(_FAULT)
    if report.alarms and any(alarm is not Alarm.LOW_BATTERY for alarm in report.alarms):
        codes.append(_ALARM)
    if model.kind is _BIKE:
        # A basic device without a bolt sensor says nothing about its bolt, and nothing is held against it.
        if report.lock is not None and report.lock.bolt is not _CLOSED:
            codes.append(_BOLT_NOT_CLOSED)
        if claims:
            codes.append(_CLAIMED)
        if report.moving:
            codes.append(_IN_MOTION)
    elif stamped.units <= len(claims):
        codes.append(_CLAIMED if stamped.units else _NO_UNITS)
    return codes


def with_since(codes: list[int], before: Reasons, at_ms: int) -> Reasons:
    """Dates each reason: since it first stood without interruption, or since `at_ms`."""
    if not codes:
        return ()
    if not before:
        return tuple([(code, at_ms) for code in codes])
    known = dict(before)
    return tuple([(code, known.get(code, at_ms)) for code in codes])


def with_silence(reasons: Reasons, presence: Presence, heard_ms: int, model: DeviceModel) -> Reasons:
    """The reasons with QUIET or LOST as the presence demands, and without either when online."""
    spoken = tuple([reason for reason in reasons if reason[0] not in _OF_SILENCE])
    if presence is Presence.ONLINE:
        return spoken
    code = _QUIET if presence is Presence.QUIET else _LOST
    return ((code, silent_since_ms(heard_ms, presence, model)), *spoken)
