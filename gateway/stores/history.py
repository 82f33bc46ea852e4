"""Every report in PostgreSQL: one batch, one transaction, one commit."""

import struct
from collections.abc import Callable, Sequence
from datetime import date

import psycopg
from msgspec import Struct
from psycopg import AsyncConnection

from gateway.ports import Appended, HistoryBatch, HistoryRow, StoreUnavailable
from gateway.stores.history_refused import Refused, all_refused
from gateway.stores.history_staging import AHEAD_WINDOW_MS, LATE_WINDOW_MS, STAGE_TABLE, is_late, store_staged
from gateway.stores.history_trimming import Trimmed, trim
from gateway.stores.instants import instant
from gateway.stores.packed_rows import COLUMNS, pack_rows
from gateway.stores.postgres_link import PostgresLink
from gateway.stores.row_extras import keep_rows_for_a_person, store_extras

_COPY = f"copy report ({COLUMNS}) from stdin (format binary)".encode()
_DAY_MS = 86_400_000
_NOTHING = Appended(0, frozenset())

MAX_RACES = 3
"""Two owners of one lane file the same stamp in the same instant at most while the lane changes hands."""

TRIM_DEADLINE_S = 120.0
"""Dropping a day of a large fleet waits for the readers of that day."""


class _Rows(Struct, frozen=True):
    """A batch as the paths take it: what may be copied as it is, what must be looked at, what must be left out."""

    fresh: Sequence[HistoryRow]
    doubtful: Sequence[HistoryRow]
    refused: Sequence[Refused] = ()


class PostgresHistory:
    """ports.HistoryStore on one connection of its own."""

    def __init__(self, dsn: str) -> None:
        self._link = PostgresLink(dsn, name="history", on_open=_prepare)
        self._trim_link = PostgresLink(dsn, name="trim")
        """No batch waits for a partition to be dropped."""
        self._days_ready: set[int] = set()

    async def open(self, now_ms: int) -> None:
        """Connects and makes the partitions of today, so that no report waits for either.
        Raises StoreUnavailable; `append` then does both."""
        await self._link.run(lambda connection: self._make_days(connection, {now_ms // _DAY_MS}))

    async def append(self, batch: HistoryBatch) -> Appended:
        """One transaction, committed on return. Raises StoreUnavailable; then nothing is known and
        the same batch may be given again."""
        late = [
            row for row in batch.rows if not -AHEAD_WINDOW_MS <= row.received_ms - row.at_ms <= LATE_WINDOW_MS
        ]
        rows = _Rows(batch.rows, batch.doubtful)
        if late:
            on_time = [row for row in batch.rows if not is_late(row)]
            rows = _Rows(on_time, [*late, *batch.doubtful])
        return await self._link.run(lambda connection: self._append(connection, batch, rows))

    async def trim(self, now_ms: int) -> Trimmed:
        """Makes partitions ahead and drops what is past its retention; harmless to repeat.
        Raises StoreUnavailable."""
        return await self._trim_link.run(
            lambda connection: trim(connection, now_ms), deadline_s=TRIM_DEADLINE_S
        )

    async def close(self) -> None:
        """Waits for an append that is under way."""
        await self._link.close()
        await self._trim_link.close()

    async def _append(self, connection: AsyncConnection, batch: HistoryBatch, rows: _Rows) -> Appended:
        await self._make_partitions(connection, rows)
        for _ in range(MAX_RACES):
            try:
                return await _store(connection, batch, rows)
            except psycopg.errors.UniqueViolation:
                rows = _Rows((), [*rows.fresh, *rows.doubtful], rows.refused)
            except (psycopg.DataError, psycopg.IntegrityError, struct.error):
                return await _store_without_refused(connection, batch, rows)
        raise StoreUnavailable("history: another gateway goes on storing the same reports")

    async def _make_partitions(self, connection: AsyncConnection, rows: _Rows) -> None:
        """Once per day of receipt: every row of that day that is not late finds its partition."""
        days = {row.received_ms // _DAY_MS for row in (*rows.fresh[:1], *rows.fresh[-1:], *rows.doubtful)}
        await self._make_days(connection, days)

    async def _make_days(self, connection: AsyncConnection, days: set[int]) -> None:
        for day in days - self._days_ready:
            first = day - LATE_WINDOW_MS // _DAY_MS - 1
            last = day + AHEAD_WINDOW_MS // _DAY_MS + 1
            await connection.execute("select latchkey_make_partitions(%s, %s)", (_date(first), _date(last)))
            self._days_ready.add(day)


async def _prepare(connection: AsyncConnection) -> None:
    await connection.execute(STAGE_TABLE)


async def _store(connection: AsyncConnection, batch: HistoryBatch, rows: _Rows) -> Appended:
    fresh = pack_rows(rows.fresh) if rows.fresh else b""
    extras = batch.quarantined or batch.sightings or batch.last_reports
    if fresh and not (extras or rows.doubtful or rows.refused):
        # A statement of its own is a transaction of its own: no BEGIN, no COMMIT to wait for.
        await _copy(connection, fresh, batch.meanwhile)
        return _NOTHING
    try:
        async with connection.pipeline():
            await connection.execute("begin")
            await store_extras(connection, batch)
        if fresh:
            await _copy(connection, fresh)
        appended = await _store_doubtful(connection, rows)
        await connection.execute("commit")
    except (psycopg.Error, struct.error):
        if not connection.closed:
            await connection.rollback()
        raise
    return appended


async def _store_doubtful(connection: AsyncConnection, rows: _Rows) -> Appended:
    """The rest of the transaction: staged rows, and a place in quarantine for those that cannot be stored."""
    for_a_person = [(refused.row, "refused_by_store", refused.why) for refused in rows.refused]
    cannot_be = frozenset((row.device_no, row.boot, row.seq) for row in (one.row for one in rows.refused))
    appended = Appended(0, frozenset(), cannot_be)
    if rows.doubtful:
        judged = await store_staged(connection, rows.doubtful)
        for_a_person += [(row, "stamp_reused", "another frame has this stamp") for row in judged.reused]
        stamps = frozenset((row.device_no, row.boot, row.seq) for row in judged.reused)
        appended = Appended(judged.doubled, stamps, cannot_be)
    if for_a_person:
        await keep_rows_for_a_person(connection, for_a_person)
    return appended


async def _store_without_refused(connection: AsyncConnection, batch: HistoryBatch, rows: _Rows) -> Appended:
    """Finds the rows that PostgreSQL refuses and stores all others.

    Raises the error itself when it is not about a row.
    """
    left = [*rows.fresh, *rows.doubtful]
    refused = list(rows.refused)
    while True:
        try:
            return await _store(connection, batch, _Rows((), left, refused))
        except (psycopg.DataError, psycopg.IntegrityError, struct.error):
            found = await all_refused(connection, left)
            if not found:
                raise
            found_rows = {id(one.row) for one in found}
            left = [row for row in left if id(row) not in found_rows]
            refused += found


async def _copy(
    connection: AsyncConnection, packed: bytes, meanwhile: Callable[[], None] | None = None
) -> None:
    async with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        await copy.write(packed)
        if meanwhile is not None:
            # The server inserts what was sent; the end of the statement, and so its commit, is still to come.
            meanwhile()


def _date(day: int) -> date:
    return instant(day * _DAY_MS).date()
