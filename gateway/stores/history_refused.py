"""The last resort: which row of a batch PostgreSQL refuses."""

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


async def first_refused(connection: AsyncConnection, rows: Sequence[HistoryRow]) -> Refused | None:
    """The first row that is refused, found by halves: one trial for each doubling of the batch. Stores nothing."""
    why = await _refusal(connection, rows)
    if why is None:
        return None
    low, high = 0, len(rows)
    while high - low > 1:
        middle = (low + high) // 2
        refusal = await _refusal(connection, rows[low:middle])
        if refusal is None:
            low = middle
        else:
            high, why = middle, refusal
    return Refused(rows[low], why)


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
