"""A device's live state in the words of the HTTP API."""

from typing import Any

from api.instants import instant, instant_or_none
from api.live.map_device import KIND_NAMES, REASON_NAMES
from api.ports import KnownDevice
from api.schemas import BoltName, DeviceAnswer
from firmware_protocol.codec import decode_report
from firmware_protocol.messages import Bolt, Report, Slot
from gateway.core.availability import NEVER_HEARD
from gateway.core.device import DeviceRecord
from gateway.core.live_state import LiveState, Presence
from geo.point import E7

_NOTHING = Report()
_BOLT_NAMES: dict[Bolt, BoltName] = {Bolt.OPEN: "open", Bolt.CLOSED: "closed", Bolt.BETWEEN: "between"}


def device_answer(known: KnownDevice, state: LiveState | None, *, now_ms: int, stale: bool) -> DeviceAnswer:
    """The whole answer; ages in seconds up to `now_ms`."""
    record = known.record
    report = decode_report(state.frame) if state is not None and state.frame else _NOTHING
    presence = state.presence if state is not None else Presence.LOST
    return DeviceAnswer.model_validate(
        {
            "id": record.device_id,
            "public_id": record.public_id,
            "marker": record.marker,
            "kind": KIND_NAMES[known.model.kind],
            "model": record.model,
            "operator_id": record.operator_id,
            "presence": presence.name.lower(),
            **_order(state),
            "position": _position(record, report, state),
            **_sensors(report),
            "availability": _availability(state, now_ms),
            "stale": stale,
        }
    )


def _order(state: LiveState | None) -> dict[str, Any]:
    if state is None:
        return {"heard_at": None, "revision": 0, "stamp": None, "at": None}
    return {
        "heard_at": instant_or_none(state.heard_at_ms),
        "revision": state.revision,
        "stamp": {"boot": state.boot, "seq": state.seq} if state.frame else None,
        "at": instant_or_none(state.at_ms),
    }


def _position(record: DeviceRecord, report: Report, state: LiveState | None) -> dict[str, Any] | None:
    if report.fix is not None and state is not None:
        return {
            "lat": report.fix.lat_e7 / E7,
            "lon": report.fix.lon_e7 / E7,
            "accuracy_m": report.fix.accuracy_m,
            "fixed_at": instant(state.at_ms - report.fix.age_ms),
        }
    if record.home_lat_e7 is not None and record.home_lon_e7 is not None:
        lat, lon = record.home_lat_e7 / E7, record.home_lon_e7 / E7
        return {"lat": lat, "lon": lon, "accuracy_m": None, "fixed_at": None}
    return None


def _sensors(report: Report) -> dict[str, Any]:
    lock = report.lock
    return {
        "battery_pct": report.battery_pct,
        "charging": report.charging,
        "moving": report.moving,
        "lock": None
        if lock is None
        else {"bolt": bolt_name(lock.bolt), "last_fence": lock.last_fence, "openings": lock.openings},
        "slots": [_slot(slot) for slot in report.slots],
        "faults": list(report.faults),
        "alarms": [alarm.name.lower() for alarm in report.alarms],
        "signal_dbm": report.signal_dbm,
        "firmware": report.firmware,
    }


def _slot(slot: Slot) -> dict[str, Any]:
    return {
        "number": slot.number,
        "unit_id": slot.unit_id,
        "bolt": None if slot.bolt is None else bolt_name(slot.bolt),
        "door_closed": slot.door_closed,
        "occupied": slot.occupied,
        "charge_pct": slot.charge_pct,
        "last_fence": slot.last_fence,
        "openings": slot.openings,
        "faults": list(slot.faults),
    }


def _availability(state: LiveState | None, now_ms: int) -> dict[str, Any]:
    reasons = state.reasons if state is not None else NEVER_HEARD
    entry = state.entry if state is not None else None
    return {
        "available": not reasons,
        "reasons": [
            {
                "reason": REASON_NAMES[reason],
                "since": instant_or_none(since_ms),
                "age_s": max(0, now_ms - since_ms) / 1000 if since_ms else None,
            }
            for reason, since_ms in reasons
        ],
        "units": entry.units if entry is not None else 0,
        "spaces": entry.spaces if entry is not None else 0,
    }


def bolt_name(bolt: Bolt) -> BoltName:
    """What the bolt sensor says, in the API's words."""
    return _BOLT_NAMES[bolt]
