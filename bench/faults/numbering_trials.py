"""Trials of stamps and times: repetitions, shuffles, impostors, hostile clocks."""

from functools import partial

from bench.faults.believed import compare_with_history, live_states, settled_states
from bench.faults.findings import Findings
from bench.faults.flood import Message
from bench.faults.frames import greet, log_of, message, send, state, wait_applied
from bench.faults.rig import Rig, rigged
from bench.faults.trial import Scene
from bench.faults.waiting import wait_for
from firmware_protocol.messages import DeviceId, Report

YEAR_MS = 365 * 86_400_000
HOUR_MS = 3_600_000
HOSTILE_EVERY = 20
"""One device in twenty: 5 %."""

MAX_NEW_PARTITIONS = 3


def shuffled_copies(scene: Scene) -> Findings:
    """A log of reports, ten times, in any order: one row each, and every other copy counted."""
    rows = int(scene.seconds * 400)
    with rigged(scene, devices=50) as rig:
        log = log_of(greet(rig), rows)
        copies = log * 10
        scene.chance.shuffle(copies)
        send(rig, copies)
        wait_applied(rig, len(copies))
        findings = rig.findings
        findings.expect("rows", rig.number("select count(*) from report_all"), rows)
        findings.expect("doubled rows counted", rig.page.metric("latchkey_doubled_rows_total"), 9.0 * rows)
        findings.expect("rows counted", rig.page.metric("latchkey_stored_rows_total"), float(rows))
        findings.expect("frames in quarantine", rig.number("select count(*) from quarantine"), 0)
        compare_with_history(rig)
        if scene.stack.postgres.timescale:
            _copies_into_compressed_chunks(rig, log[:1_000])
        findings.said.append(f"{rows} reports ten times each")
        return findings


def _copies_into_compressed_chunks(rig: Rig, log: list[Message]) -> None:
    rows = rig.number("select count(*) from report_all")
    applied = int(rig.page.total("latchkey_reports_total"))
    rig.rows("select compress_chunk(chunk) from show_chunks('report') as chunk")
    send(rig, log + log)
    wait_applied(rig, applied + 2 * len(log))
    rig.findings.expect("rows beside a compressed chunk", rig.number("select count(*) from report_all"), rows)
    rig.findings.expect("batches repeated", rig.page.metric("latchkey_batches_repeated_total"), 0.0)


def impostors(scene: Scene) -> Findings:
    """Old boots, invented boots, a clone with the same stamps, a clone with a power-on of its own."""
    with rigged(scene, devices=40) as rig:
        rows = int(scene.seconds * 5)
        findings = rig.findings
        first = greet(rig, power_on=1)
        honest = log_of(first, rows * len(first))
        send(rig, honest)
        second = greet(rig, power_on=2)
        for device_id, boot in second.items():
            findings.count("a boot number that did not rise", boot <= first[device_id])
        newest = log_of(second, len(second))
        send(rig, newest)
        wait_applied(rig, len(honest) + len(newest))
        before = settled_states(rig)
        _send_impostors(rig, first, second, rows)
        findings.expect("live states after the impostors", live_states(rig) == before, True)
        findings.expect(
            "rows", rig.number("select count(*) from report_all"), len(honest) + len(newest) + len(first)
        )
        compare_with_history(rig)
        return findings


def _send_impostors(rig: Rig, first: dict[DeviceId, int], second: dict[DeviceId, int], rows: int) -> None:
    """Late reports of the old boot are history; other contents under used stamps and invented boots are not."""
    late = [message(d, state(rows + 9, boot=boot, keep=True)) for d, boot in first.items()]
    clones = [message(d, state(1, boot=boot, battery_pct=33, keep=True)) for d, boot in second.items()]
    invented = [message(d, state(9, boot=boot + 77_777, keep=True)) for d, boot in second.items()]
    receipts = rig.page.metric("latchkey_receipts_total")
    send(rig, [*late, *clones, *invented])
    wanted = {"stamp_reused": len(clones), "boot_not_issued": len(invented)}
    for reason, count in wanted.items():
        series = f'latchkey_quarantined_frames_total{{reason="{reason}"}}'
        wait_for(f"{count} {reason}", partial(_has_counted, rig, series, count))
        kept = rig.number(f"select count(*) from quarantine where reason = '{reason}'")
        rig.findings.expect(f"{reason} in quarantine", kept, count)
        rig.findings.expect(f"{reason} counted", rig.page.metric(series), float(count))
    wait_for("receipts", lambda: rig.page.metric("latchkey_receipts_total") >= receipts + len(late))
    rig.findings.expect("receipts", rig.page.metric("latchkey_receipts_total") - receipts, float(len(late)))


def _has_counted(rig: Rig, series: str, count: int) -> bool:
    return rig.page.metric(series) >= count


def hostile_clocks(scene: Scene) -> Findings:
    """One device in twenty lives in 1970, in ten years, or jumps by the hour."""
    with rigged(scene, devices=200) as rig:
        rounds = max(2, int(scene.seconds * 2))
        boots = greet(rig)
        send(rig, [message(d, _told(d, 1, boots)) for d in boots])
        wait_applied(rig, len(boots))
        partitions = _partitions(rig)
        log = [message(d, _told(d, seq, boots)) for seq in range(2, rounds + 2) for d in boots]
        send(rig, log)
        wait_applied(rig, len(boots) + len(log))
        findings = rig.findings
        rows = len(boots) + len(log)
        findings.expect("rows", rig.number("select count(*) from report_all"), rows)
        findings.count("new partitions", max(0, _partitions(rig) - partitions - MAX_NEW_PARTITIONS))
        findings.said.append(f"{rows} rows, {_partitions(rig) - partitions} new partitions")
        findings.expect("batches repeated", rig.page.metric("latchkey_batches_repeated_total"), 0.0)
        findings.expect("frames in quarantine", rig.number("select count(*) from quarantine"), 0)
        suspect = rig.number("select count(*) from report_all where clock_suspect")
        findings.count("no clock was suspected", suspect == 0)
        newest = {(state.boot, state.seq) for state in live_states(rig).values()}
        findings.expect("newest seqs believed", {seq for _, seq in newest}, {rounds + 1})
        _an_hour_later(rig, log, rows)
        return findings


def _told(device_id: DeviceId, seq: int, boots: dict[DeviceId, int]) -> Report:
    """What this device says of the time: most are honest."""
    index = int(device_id.rpartition("-")[2])
    boot = boots[device_id]
    if index % HOSTILE_EVERY:
        return state(seq, boot=boot)
    lies = (-boot * 1000, 10 * YEAR_MS, HOUR_MS, -HOUR_MS)
    # The first tells the truth, so that the day of today has its partition.
    lie_ms = lies[(index // HOSTILE_EVERY + seq) % len(lies)] if seq > 1 else 0
    if index // HOSTILE_EVERY % 2:
        # A basic device: its own clock instead of a boot.
        return state(seq, reported_at_ms=boot * 1000 + lie_ms)
    return state(seq, boot=boot, elapsed_ms=lie_ms)


def _partitions(rig: Rig) -> int:
    """Places of a day that hold something."""
    return rig.number("select count(distinct at::date) from report")


def _an_hour_later(rig: Rig, log: list[Message], rows: int) -> None:
    """The same messages again, as if the first had come an hour ago."""
    applied = int(rig.page.total("latchkey_reports_total"))
    # Rows stamped on arrival would have an earlier row time too. An hour ago may have been yesterday, and TimescaleDB
    # moves no row to another chunk by an update.
    rig.rows(
        "with gone as (delete from report where boot = 0 and at = received_at returning report as stored)"
        " insert into report select (jsonb_populate_record(stored, jsonb_build_object("
        "'at', (stored).at - interval '1 hour'))).* from gone"
    )
    rig.rows("update report set received_at = received_at - interval '1 hour'")
    send(rig, log)
    wait_applied(rig, applied + len(log))
    rig.findings.expect("rows after an hour", rig.number("select count(*) from report_all"), rows)
