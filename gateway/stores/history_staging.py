"""The slow path of history: rows that may be stored already, compared with what is."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from psycopg import AsyncConnection

from gateway.ports import HistoryRow
from gateway.stores.copying import copy_in
from gateway.stores.instants import instant
from gateway.stores.packed_rows import COLUMNS, pack_rows
from gateway.stores.statements import statement

Stamp = tuple[int, int, int]
"""(device_no, boot, seq)"""

LATE_WINDOW_MS = 7 * 86_400_000
"""Compression starts a day after: an older row is filed where nothing is ever compressed or dropped."""

AHEAD_WINDOW_MS = 9 * 86_400_000
"""The row time is at most 8 days after the boot; the day more is for clocks of gateways that disagree."""

REACH_MS = 8 * 86_400_000
"""How far its stamp is looked for. Around the boot for full devices, which is exact: no report is received before its
boot was given, no row time lies more than 8 days after it, and rows that are late have a table without bounds.
Around the row's own time and its receipt for basic devices: a frame that is delivered again days later may be filed
under another one."""

_EARLIEST_MS, _LATEST_MS = 0, 4_102_444_800_000
"""1970 and 2100: bounds of a bound, so that no number from a frame leaves the calendar."""

STAGE_TABLE = statement("stage_table")
LOOKED = statement("stage_looked")
_INSERT = LOOKED + statement("stage_insert")
BASIC_LOCK = 0x6C6B6264
"""Of the pairs of numbers that PostgreSQL locks for whoever asks, those of basic devices: (this, device_no % 64)."""

_LOCKS = 64
"""However many devices a batch has: the server's table of locks holds some thousands for everybody."""

_LOCK = b"select pg_advisory_xact_lock(%s::int, number) from unnest(%s::int[]) as number"
_COPY = f"copy latchkey_staging ({COLUMNS}) from stdin (format binary)".encode()


class Judged(Struct, frozen=True):
    """What became of staged rows."""

    doubled: int
    reused: Sequence[HistoryRow]
    """Rows whose stamp stands for another frame."""


def is_late(row: HistoryRow) -> bool:
    """Whether the row belongs into `history_late`: its time is too far from its receipt for the partitions."""
    return not -AHEAD_WINDOW_MS <= row.received_ms - row.at_ms <= LATE_WINDOW_MS


def stamp_of(row: HistoryRow) -> Stamp:
    return row.device_no, row.boot, row.seq


def firsts_of(rows: Iterable[HistoryRow]) -> dict[Stamp, HistoryRow]:
    """The first row of each stamp, in the order of their coming."""
    firsts: dict[Stamp, HistoryRow] = {}
    for row in rows:
        firsts.setdefault(stamp_of(row), row)
    return firsts


async def wait_for_other_owners(connection: AsyncConnection, rows: Iterable[HistoryRow]) -> None:
    """Part of the caller's transaction and pipeline, before any row of it: until another transaction that looks
    for rows of the same basic devices has ended. Two owners of a lane may have the same frame, file it under two
    times where the device says none, and neither see the row of the other nor meet it in the index. Full devices
    meet there. Raises psycopg.Error after the `lock_timeout` of the connection."""
    # In one order, so that two cannot wait for each other.
    locks = sorted({row.device_no % _LOCKS for row in rows if not row.boot})
    if locks:
        await connection.execute(_LOCK, (BASIC_LOCK, locks))


async def store_staged(connection: AsyncConnection, rows: Sequence[HistoryRow]) -> Judged:
    """Inside the caller's transaction: files the rows whose stamp is not stored, first of each stamp wins."""
    firsts = firsts_of(rows)
    await copy_in(connection, _COPY, pack_rows(firsts.values()))
    async with connection.cursor(binary=True) as cursor:
        # Never prepared: only a plan made for these bounds leaves the other partitions alone.
        await cursor.execute(_INSERT, bounds(rows), prepare=False)
        stored = {(device_no, boot, seq): frame for device_no, boot, seq, frame in await cursor.fetchall()}
    return judge(rows, firsts, stored)


def judge(
    rows: Sequence[HistoryRow], firsts: Mapping[Stamp, HistoryRow], stored: Mapping[Stamp, bytes | None]
) -> Judged:
    """Which rows were doubled and which reuse a stamp.

    `stored` has the stamps that stood before, with their frame where it is not the one of the first row.
    """
    doubled = 0
    reused: list[HistoryRow] = []
    for row in rows:
        stamp = stamp_of(row)
        first = firsts[stamp]
        if row is first and stamp not in stored:
            continue
        truth = stored.get(stamp)
        if row.frame == (first.frame if truth is None else truth):
            doubled += 1
        else:
            reused.append(row)
    return Judged(doubled, reused)


def bounds(rows: Sequence[HistoryRow]) -> dict[str, object]:
    """Where the stamps of these rows can be found, as `stage_looked` takes it."""
    first_ms = min(row.boot * 1000 or min(row.at_ms, row.received_ms) for row in rows)
    last_ms = max(row.boot * 1000 or max(row.at_ms, row.received_ms) for row in rows)
    return {
        "from_at": instant(max(first_ms - REACH_MS, _EARLIEST_MS)),
        "to_at": instant(min(last_ms + REACH_MS, _LATEST_MS)),
        "reach_s": REACH_MS / 1000,
        "late_s": LATE_WINDOW_MS / 1000,
        "ahead_s": AHEAD_WINDOW_MS / 1000,
    }
