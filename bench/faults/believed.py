"""What Redis believes of every device against what history says of it."""

from collections.abc import Sequence
from typing import Any

import psycopg

from bench.faults.rig import TRIAL_MODEL, Rig
from bench.faults.waiting import wait_for
from firmware_protocol.codec import decode_report
from gateway.core.availability import reported_reasons
from gateway.core.change import charge_stands, noise_e7
from gateway.core.device import DeviceRecord
from gateway.core.live_state import LiveState, MapEntry, Reason
from gateway.core.shown_anew import waits_for_its_id
from gateway.core.stamped import StampedReport
from gateway.stores.device_rows import DEVICE_COLUMNS, device_record
from gateway.stores.instants import unix_ms
from gateway.stores.live_states import unpack_state

SILENCE = {Reason.QUIET, Reason.LOST}
"""Depends on the hour, not on the reports."""

_NEWEST = """
    select distinct on (device_no) device_no, boot, seq, at, received_at, clock_suspect, frame
    from report_all order by device_no, boot desc, seq desc
"""


def live_states(rig: Rig) -> dict[str, LiveState]:
    """Every live state by device id."""
    states: dict[str, LiveState] = {}
    with rig.redis() as client:
        for shard in range(16):
            values: dict[bytes, bytes] = client.hgetall(f"lk:{{{shard:02x}}}:live")
            states.update({name.decode(): unpack_state(value) for name, value in values.items()})
    return states


def settled_states(rig: Rig) -> dict[str, LiveState]:
    """The same once every bike that was used has its new public id. Raises NeverCame."""
    wait_for("public ids for used bikes", lambda: not any(map(waits_for_its_id, live_states(rig).values())))
    return live_states(rig)


def compare_with_history(rig: Rig) -> None:
    """Notes every device whose reported state or map entry is not that of its newest report, once used bikes have
    their new ids. Raises NeverCame."""
    states = settled_states(rig)
    with psycopg.connect(rig.dsn) as connection:
        rows = connection.execute(f"select {DEVICE_COLUMNS} from device".encode()).fetchall()
        devices = {device.device_no: device for device in map(device_record, rows)}
        newest = connection.execute(_NEWEST.encode()).fetchall()
    rig.findings.expect("devices believed", len(states), len(newest))
    for row in newest:
        device = devices[row[0]]
        difference = _difference(device, _stamped(row), states.get(device.device_id))
        rig.findings.count(
            "live state not that of history", bool(difference), f"{device.device_id}: {difference}"
        )


def _stamped(row: Sequence[Any]) -> StampedReport:
    _, boot, seq, at, received_at, suspect, frame = row
    report = decode_report(bytes(frame))
    return StampedReport(report, boot, seq, unix_ms(at), suspect, unix_ms(received_at), 0, 0, bytes(frame))


def _difference(device: DeviceRecord, newest: StampedReport, state: LiveState | None) -> str:
    if state is None:
        return "unknown to Redis"
    believed = (state.boot, state.seq, state.at_ms, state.frame)
    if believed != (newest.boot, newest.seq, newest.at_ms, newest.frame):
        return f"stamp {believed[:3]} instead of {(newest.boot, newest.seq, newest.at_ms)}"
    expected = set(reported_reasons(device, TRIAL_MODEL, newest, ()))
    if {code for code, _ in state.reasons} - SILENCE != expected:
        return f"reasons {state.reasons} instead of {expected}"
    return _map_difference(device, newest, state.entry)


def _map_difference(device: DeviceRecord, newest: StampedReport, entry: MapEntry | None) -> str:
    fix = newest.report.fix
    if fix is None or entry is None:
        return "" if fix is None and entry is None else "on the map without a position, or not on it with one"
    noise = noise_e7(fix.accuracy_m, newest.report.moving)
    if max(abs(entry.lat_e7 - fix.lat_e7), abs(entry.lon_e7 - fix.lon_e7)) > noise:
        return f"shown at {entry.lat_e7}, {entry.lon_e7}"
    if (entry.public_id, entry.marker) != (device.public_id, device.marker):
        return "shown under another name"
    if not charge_stands(entry.battery_pct, newest.report.battery_pct):
        return f"shown with {entry.battery_pct} %"
    return "" if entry.available == (not entry.reasons) else "available with reasons"
