"""What goes into the same transaction as the rows: quarantined frames, unit sightings, last reports."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

from msgspec import msgpack
from psycopg import AsyncConnection

from gateway.ports import HistoryBatch, HistoryRow, LastReport, QuarantinedFrame, UnitSighting
from gateway.stores.history_staging import LATE_WINDOW_MS
from gateway.stores.statements import statement

_QUARANTINE_INSERT = statement("quarantine_insert")
_QUARANTINE_ROWS = statement("quarantine_rows")
_SIGHTING_INSERT = statement("sighting_insert")
_LAST_REPORT_UPSERT = statement("last_report_upsert")
_NOTE_REBASE = statement("note_rebase")
_encode = msgpack.Encoder().encode

MAX_KEPT_TEXT_CHARS = 256
"""Topics and reasons come from peers; a person reads one line of each."""

MAX_FRAMES_OF_A_DEVICE = 200
"""Kept in one day; at the frame limit 3 MB. What is beyond it is counted and acknowledged like the others: two hundred
examples tell a person what is wrong, and the 100,000 that are kept of all devices stay for all devices."""


async def store_extras(connection: AsyncConnection, batch: HistoryBatch) -> None:
    """Part of the caller's transaction and pipeline."""
    if batch.quarantined:
        await _quarantine(connection, batch.quarantined)
    if batch.sightings:
        await _note_sightings(connection, batch.sightings)
    if batch.last_reports:
        await _save_last_reports(connection, batch.last_reports)


async def keep_rows_for_a_person(
    connection: AsyncConnection, rows: Sequence[tuple[HistoryRow, str, str]]
) -> None:
    """Quarantines rows (row, reason, what else is known) in the caller's transaction."""
    arguments = {
        "device_nos": [row.device_no for row, _, _ in rows],
        "reasons": [reason for _, reason, _ in rows],
        "places": [_text(f"boot {row.boot} seq {row.seq}: {place}") for row, _, place in rows],
        "received_ms": [row.received_ms for row, _, _ in rows],
        "frames": [row.frame for row, _, _ in rows],
        "occurrences": _occurrences(
            (row.device_no, row.received_ms, reason, row.frame) for row, reason, _ in rows
        ),
        "share": MAX_FRAMES_OF_A_DEVICE,
    }
    await connection.execute(_QUARANTINE_ROWS, arguments)


async def _quarantine(connection: AsyncConnection, frames: Sequence[QuarantinedFrame]) -> None:
    arguments = {
        "device_ids": [_text(kept.device_id) for kept in frames],
        "topics": [_text(kept.topic) for kept in frames],
        "reasons": [_text(kept.reason) for kept in frames],
        "places": [_text(kept.where) for kept in frames],
        "received_ms": [kept.received_ms for kept in frames],
        "frames": [kept.frame for kept in frames],
        "occurrences": _occurrences(
            (kept.device_id, kept.received_ms, kept.reason, kept.frame) for kept in frames
        ),
        "share": MAX_FRAMES_OF_A_DEVICE,
    }
    await connection.execute(_QUARANTINE_INSERT, arguments)


async def _note_sightings(connection: AsyncConnection, sightings: Sequence[UnitSighting]) -> None:
    arguments = {
        "unit_ids": [seen.unit_id for seen in sightings],
        "device_nos": [seen.device_no for seen in sightings],
        "slots": [seen.slot for seen in sightings],
        "at_ms": [seen.at_ms for seen in sightings],
    }
    await connection.execute(_SIGHTING_INSERT, arguments)


async def _save_last_reports(connection: AsyncConnection, saved: Sequence[LastReport]) -> None:
    newest: dict[int, LastReport] = {}
    for last in saved:
        before = newest.get(last.device_no)
        if before is None or before.state.revision <= last.state.revision:
            newest[last.device_no] = last
    arguments = {
        "device_nos": list(newest),
        "revisions": [last.state.revision for last in newest.values()],
        "states": [_encode(last.state) for last in newest.values()],
        "taken_ms": [last.taken_ms for last in newest.values()],
    }
    await connection.execute(_LAST_REPORT_UPSERT, arguments)
    rebased = [last.device_no for last in saved if last.rebased]
    if rebased:
        await connection.execute(_NOTE_REBASE, {"device_nos": rebased, "late_s": LATE_WINDOW_MS / 1000})


def _occurrences(frames: Iterable[Hashable]) -> list[int]:
    """0 for the first of equal ones, 1 for the second, and so on."""
    seen: Counter[Hashable] = Counter()
    numbers = []
    for frame in frames:
        numbers.append(seen[frame])
        seen[frame] += 1
    return numbers


def _text(value: str) -> str:
    """What PostgreSQL stores as text: no NUL, no half of a surrogate pair, one line long."""
    capped = value[:MAX_KEPT_TEXT_CHARS].replace("\x00", "\ufffd")
    return capped.encode("utf-8", "replace").decode("utf-8")
