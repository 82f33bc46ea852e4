"""Every report in PostgreSQL: one batch, one transaction, one commit."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import date

import psycopg
from msgspec import Struct
from psycopg import AsyncConnection

from gateway.ports import Appended, HistoryBatch, HistoryRow, StoreUnavailable
from gateway.stores.copying import copy_in
from gateway.stores.history_refused import ROW_REFUSED, Refused, file_each, sift, unpackable
from gateway.stores.history_staging import (
    AHEAD_WINDOW_MS,
    LATE_WINDOW_MS,
    STAGE_TABLE,
    Judged,
    firsts_of,
    is_late,
    stamp_of,
    store_staged,
    wait_for_other_owners,
)
from gateway.stores.history_trimming import LOOK_AT_QUARANTINE_EVERY, Trimmed, bound_quarantine, trim
from gateway.stores.instants import instant
from gateway.stores.packed_rows import CANNOT_BE_PACKED, COLUMN_COUNT, COLUMNS, pack_fields, pack_rows
from gateway.stores.postgres_link import PostgresLink
from gateway.stores.quick_connection import QuickConnection
from gateway.stores.row_extras import keep_rows_for_a_person, store_extras

_COPY = f"copy report ({COLUMNS}) from stdin (format binary)".encode()
_INSERT = f"insert into report ({COLUMNS}) values ({', '.join(f'${n}' for n in range(1, COLUMN_COUNT + 1))})".encode()
_DAY_MS = 86_400_000
_NOTHING = Appended(0, frozenset())
_NOTHING_TO_JUDGE = Judged(0, ())

MAX_RACES = 3
"""Two owners of one lane file the same stamp in the same instant at most while the lane changes hands."""

STOPPED_AFTER_S = 4.0
"""Between two statements of a transaction. A process that is stopped there loses its lanes, and its rows must not
appear once the next owner has looked for them: a lease lasts 10 s and is renewed every 3. And less than the
`lock_timeout` of who waits for it."""

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
        self._put_aside = 0
        """Frames given to the quarantine since its rows were last bounded."""

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
        appended = await self._link.run(lambda connection: self._append(connection, batch, rows))
        self._put_aside += len(batch.quarantined) + len(appended.stamp_reused) + len(appended.refused)
        return appended

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

    async def _append(self, connection: QuickConnection, batch: HistoryBatch, rows: _Rows) -> Appended:
        await self._make_partitions(connection, rows)
        if self._put_aside >= LOOK_AT_QUARANTINE_EVERY:
            # Rows stay bounded between two trims, and whoever floods it waits for this too; their room on the disk
            # is given back by autovacuum, which may be minutes behind.
            await bound_quarantine(connection)
            self._put_aside = 0
        store = _store
        races = 0
        while races < MAX_RACES:
            try:
                return await store(connection, batch, rows)
            except psycopg.errors.UniqueViolation:
                races += 1
                rows = _all_doubtful(rows)
            except (*ROW_REFUSED, *CANNOT_BE_PACKED):
                if store is _store_each:
                    raise
                rows = _without_unpackable(rows)
                store = _store_each
        raise StoreUnavailable("history: another gateway goes on storing the same reports")

    async def _make_partitions(self, connection: QuickConnection, rows: _Rows) -> None:
        """Once per day of receipt: every row of that day that is not late finds its partition."""
        days = {row.received_ms // _DAY_MS for row in (*rows.fresh[:1], *rows.fresh[-1:], *rows.doubtful)}
        await self._make_days(connection, days)

    async def _make_days(self, connection: QuickConnection, days: set[int]) -> None:
        for day in days - self._days_ready:
            first = day - LATE_WINDOW_MS // _DAY_MS - 1
            last = day + AHEAD_WINDOW_MS // _DAY_MS + 1
            await connection.execute("select latchkey_make_partitions(%s, %s)", (_date(first), _date(last)))
            self._days_ready.add(day)


async def _prepare(connection: AsyncConnection) -> None:
    await connection.execute(STAGE_TABLE)
    milliseconds = str(round(STOPPED_AFTER_S * 1000))
    await connection.execute(
        "select set_config('idle_in_transaction_session_timeout', %s, false)", (milliseconds,)
    )


async def _store(connection: QuickConnection, batch: HistoryBatch, rows: _Rows) -> Appended:
    extras = batch.quarantined or batch.sightings or batch.last_reports
    alone = not (extras or rows.doubtful or rows.refused)
    # A statement of its own is a transaction of its own: no BEGIN, no COMMIT to wait for.
    if alone and len(rows.fresh) == 1:
        # COPY waits twice, for the leave to send and for the outcome.
        fields = pack_fields(rows.fresh[0])
        await connection.call(_INSERT, fields, binary=True, meanwhile=batch.meanwhile)
        return _NOTHING
    fresh = pack_rows(rows.fresh) if rows.fresh else b""
    if alone and fresh:
        await copy_in(connection, _COPY, fresh, batch.meanwhile)
        return _NOTHING
    async with _rolled_back_on_error(connection):
        async with connection.pipeline():
            await connection.execute("begin")
            await store_extras(connection, batch)
            await wait_for_other_owners(connection, rows.doubtful)
        if fresh:
            await copy_in(connection, _COPY, fresh)
        judged = await store_staged(connection, rows.doubtful) if rows.doubtful else _NOTHING_TO_JUDGE
        return await _commit(connection, judged, rows.refused)


async def _store_each(connection: QuickConnection, batch: HistoryBatch, rows: _Rows) -> Appended:
    """As `_store`, without the rows that PostgreSQL refuses. Raises what is not about a row.

    Two round trips however many are refused: one files all rows, one keeps the refused ones for a person.
    """
    given = rows.doubtful
    if not given:
        return await _store(connection, batch, rows)
    firsts = firsts_of(given)
    async with _rolled_back_on_error(connection):
        async with connection.pipeline():
            await connection.execute("begin")
            await store_extras(connection, batch)
            await wait_for_other_owners(connection, given)
            cursor = await file_each(connection, firsts.values())
        sifted = sift(given, firsts, await cursor.fetchall())
        return await _commit(connection, sifted.judged, [*rows.refused, *sifted.refused])


async def _commit(connection: QuickConnection, judged: Judged, refused: Sequence[Refused]) -> Appended:
    """The end of the transaction: a place in quarantine for rows that are not stored."""
    for_a_person = [(one.row, "refused_by_store", one.why) for one in refused]
    for_a_person += [(row, "stamp_reused", "another frame has this stamp") for row in judged.reused]
    async with connection.pipeline():
        if for_a_person:
            await keep_rows_for_a_person(connection, for_a_person)
        await connection.execute("commit")
    return Appended(
        judged.doubled,
        frozenset(stamp_of(row) for row in judged.reused),
        frozenset(stamp_of(one.row) for one in refused),
    )


@asynccontextmanager
async def _rolled_back_on_error(connection: AsyncConnection) -> AsyncIterator[None]:
    try:
        yield
    except (psycopg.Error, *CANNOT_BE_PACKED):
        if not connection.closed:
            await connection.rollback()
        raise


def _all_doubtful(rows: _Rows) -> _Rows:
    return _Rows((), [*rows.fresh, *rows.doubtful], rows.refused)


def _without_unpackable(rows: _Rows) -> _Rows:
    """All that is left is doubtful: some of it may have been refused as well."""
    given = [*rows.fresh, *rows.doubtful]
    refused = unpackable(given)
    left_out = {id(one.row) for one in refused}
    return _Rows((), [row for row in given if id(row) not in left_out], refused)


def _date(day: int) -> date:
    return instant(day * _DAY_MS).date()
