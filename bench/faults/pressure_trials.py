"""Trials of too much at once: backlogs, slow and unwilling databases."""

import time

from bench.faults.believed import live_states
from bench.faults.findings import Findings
from bench.faults.frames import greet, message, send, state, wait_applied
from bench.faults.rig import Rig, rigged
from bench.faults.trial import Scene
from bench.faults.waiting import wait_for
from firmware_protocol.messages import DeviceId, Slot
from gateway.core.live_state import Presence

HOUR_MS = 3_600_000
MAX_IN_PROCESS_BYTES = 32 * 1024 * 1024
"""Frames read and not yet stored."""

MAX_GROWN_MIB = 256.0
"""Decoded, a frame of 60 bytes takes 800; see gateway.intake.BYTE_BUDGET."""

DRAINED_WITHIN_S = 60.0
"""How old a live state may be while a backlog drains."""

REFUSED_PCT = 13
"""A charge that the trial's PostgreSQL takes for bad luck."""

LARGE = tuple(Slot(number, faults=("a_fault_of_24_characters",)) for number in range(1, 65))
"""Makes a report of 2 KB: 20,000 of them are more than the process may hold."""

_SLOW = (
    "create function trial_waits() returns trigger language plpgsql as"
    " 'begin perform pg_sleep(0.05); return null; end';"
    " create trigger trial_waits after insert on report for each statement execute function trial_waits()"
)
_UNWILLING = (
    "create function trial_refuses() returns trigger language plpgsql as"
    f" 'begin if new.battery_pct = {REFUSED_PCT} then"
    " raise check_violation using message = ''an unlucky charge''; end if; return new; end';"
    " create trigger trial_refuses before insert on report for each row execute function trial_refuses()"
)


def backlog(scene: Scene) -> Findings:
    """The gateway comes back to a queue of an hour's reports."""
    with rigged(scene) as rig:
        queued = _queue(rig, int(scene.seconds * 2_000))
        begin_s = time.monotonic()
        rig.gateway.start()
        wait_for("the first row", lambda: rig.page.total("latchkey_reports_total") > 0)
        first_s, first = time.monotonic(), rig.page.total("latchkey_reports_total")
        wait_applied(rig, queued, within_s=300.0)
        rate_per_s = (queued - first) / max(time.monotonic() - first_s, 0.05)
        findings = rig.findings
        findings.measure("time per 4,000 rows, s", 4_000 / rate_per_s, at_most=1.0)
        findings.measure("drained after start, s", time.monotonic() - begin_s, at_most=DRAINED_WITHIN_S)
        findings.said.append(f"{queued} drained at {rate_per_s:.0f} rows/s")
        findings.expect("rows", rig.number("select count(*) from report_all"), queued)
        online = [d for d, state in live_states(rig).items() if state.presence is not Presence.LOST]
        findings.count("devices that a backlog made online", len(online), online[:3])
        _says_something_new(rig, queued)
        return findings


def _says_something_new(rig: Rig, applied: int) -> None:
    """One device of those behind the backlog reports now, and is online."""
    device_id, boot = rig.rows("select device_id, boot from device limit 1")[0]
    now = state(10**9, boot=boot, elapsed_ms=time.time_ns() // 1_000_000 - boot * 1000)
    send(rig, [message(DeviceId(device_id), now)])
    wait_applied(rig, applied + 1)
    rig.findings.expect("presence of who reports now", live_states(rig)[device_id].presence, Presence.ONLINE)


def slow_database(scene: Scene) -> Findings:
    """A backlog of more bytes than may be in the process, into a PostgreSQL that takes 50 ms for a statement."""
    with rigged(scene) as rig:
        queued = _queue(rig, int(scene.seconds * 2_000), slots=LARGE)
        rig.rows(_SLOW)
        rig.gateway.start()
        rss_bytes, most_bytes, most_rss_bytes = rig.gateway_rss_bytes(), 0.0, 0
        begin_s = time.monotonic()
        while (metrics := rig.page.metrics()).get('latchkey_reports_total{outcome="advanced"}', 0) < queued:
            most_bytes = max(most_bytes, metrics.get("latchkey_pending_bytes", 0))
            most_rss_bytes = max(most_rss_bytes, rig.gateway_rss_bytes())
            if time.monotonic() - begin_s > 600:
                break
        findings = rig.findings
        findings.measure(
            "in process, MiB", most_bytes / 2**20, at_most=MAX_IN_PROCESS_BYTES / 2**20, timed=False
        )
        grown_mib = (most_rss_bytes - rss_bytes) / 2**20
        findings.measure("gateway grown, MiB", grown_mib, at_most=MAX_GROWN_MIB, timed=False)
        findings.expect("rows", rig.number("select count(*) from report_all"), queued)
        findings.expect("links that ended", rig.page.total("latchkey_link_ends_total"), 0.0)
        findings.expect("sessions lost", rig.page.total("latchkey_session_incidents_total"), 0.0)
        findings.said.append(f"{queued} stored in {time.monotonic() - begin_s:.1f} s")
        return findings


def unwilling_database(scene: Scene) -> Findings:
    """One row in a hundred is refused by PostgreSQL itself: the others of its batch are stored."""
    with rigged(scene) as rig:
        boots = greet(rig)
        rig.rows(_UNWILLING)
        rows = int(scene.seconds * 500)
        device_ids = list(boots)
        log, refused = [], 0
        for index in range(rows):
            device_id = device_ids[index % len(device_ids)]
            is_unlucky = index % 100 == 50
            refused += is_unlucky
            battery_pct = REFUSED_PCT if is_unlucky else 80
            seq = 1 + index // len(device_ids)
            log.append(
                message(device_id, state(seq, boot=boots[device_id], battery_pct=battery_pct, keep=True))
            )
        begin_s = time.monotonic()
        send(rig, log)
        findings = rig.findings
        stored = rows - refused
        count = "select count(*) from report_all"
        wait_for(f"{stored} rows", lambda: rig.number(count) >= stored, within_s=300.0)
        # A thousand a second, and a few seconds for the first batches, which are small.
        findings.measure("stored after, s", time.monotonic() - begin_s, at_most=4.0 + rows / 1_000)
        kept = "select count(*) from quarantine where reason = 'refused_by_store'"
        wait_for("refused rows in quarantine", lambda: rig.number(kept) >= refused)
        receipts = wait_for("receipts", lambda: rig.page.metric("latchkey_receipts_total") >= stored)
        findings.said.append(f"{stored} stored, {refused} refused, receipted {receipts:.1f} s after")
        findings.expect("rows", rig.number("select count(*) from report_all"), stored)
        findings.expect("refused rows in quarantine", rig.number(kept), refused)
        findings.expect("receipts", rig.page.metric("latchkey_receipts_total"), float(stored))
        findings.expect("the gateway runs on", rig.gateway.running, True)
        return findings


def _queue(rig: Rig, count: int, *, slots: tuple[Slot, ...] = ()) -> int:
    """Stops the gateway and lets so many reports of an hour ago wait for it."""
    boots = greet(rig)
    rig.gateway.stop()
    device_ids = list(boots)
    log = [
        message(device_id, state(1 + n, boot=boots[device_id], elapsed_ms=n - HOUR_MS, slots=slots))
        for n in range(count // len(device_ids))
        for device_id in device_ids
    ]
    send(rig, log)
    return len(log)
