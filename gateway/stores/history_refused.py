"""The last resort: which rows of a batch PostgreSQL refuses."""

import struct
from collections.abc import Sequence

import psycopg
from msgspec import Struct
from psycopg import AsyncConnection

from gateway.ports import HistoryRow
from gateway.stores.history_staging import store_staged

MAX_REASON_CHARS = 200
"""One line of a list that a person reads."""


class Refused(Struct, frozen=True):
    """A row that cannot be stored, and PostgreSQL's word for it."""

    row: HistoryRow
    why: str


async def all_refused(connection: AsyncConnection, rows: Sequence[HistoryRow]) -> list[Refused]:
    """Every row that is refused, found by halves: two trials for each doubling of the batch and each such row.
    Stores nothing."""
    why = await _refusal(connection, rows)
    return [] if why is None else await _refused_in(connection, rows, why)


async def _refused_in(connection: AsyncConnection, rows: Sequence[HistoryRow], why: str) -> list[Refused]:
    """Of rows that are not all taken: `why` is the word on the first that is not."""
    if len(rows) == 1:
        return [Refused(rows[0], why)]
    middle = len(rows) // 2
    first, second = rows[:middle], rows[middle:]
    why_first = await _refusal(connection, first)
    if why_first is None:
        return await _refused_in(connection, second, why)
    found = await _refused_in(connection, first, why_first)
    why_second = await _refusal(connection, second)
    return found if why_second is None else found + await _refused_in(connection, second, why_second)


async def _refusal(connection: AsyncConnection, rows: Sequence[HistoryRow]) -> str | None:
    """Why these rows cannot be stored; None when they can. Everything is rolled back."""
    await connection.execute("begin")
    try:
        await store_staged(connection, rows)
    except (psycopg.DataError, psycopg.IntegrityError, struct.error) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        return lines[0][:MAX_REASON_CHARS]
    finally:
        await connection.rollback()
    return None
