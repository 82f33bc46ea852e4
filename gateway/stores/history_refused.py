"""The last resort: a batch in which PostgreSQL refuses rows is stored without them, each row filed for itself."""

from collections.abc import Iterable, Mapping, Sequence

import psycopg
from msgspec import Struct, json
from psycopg import AsyncConnection, AsyncCursor

from gateway.ports import HistoryRow
from gateway.stores.history_staging import LOOKED, Judged, Stamp, bounds, judge, stamp_of
from gateway.stores.packed_rows import why_not_packed
from gateway.stores.statements import statement

ROW_REFUSED = (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.RaiseException)
"""What PostgreSQL says about a row: a value that does not fit, a constraint, a trigger."""

MAX_REASON_CHARS = 200
"""One line of a list that a person reads."""

_FILL = statement("stage_fill")
_FILE_EACH = LOOKED + statement("stage_insert_each")

Answer = tuple[int, int, int, bytes | None, str | None]
"""(device_no, boot, seq) of a row that was not filed; its stored frame where that is another one; PostgreSQL's word
where it is refused."""


class Refused(Struct, frozen=True):
    """A row that cannot be stored, and the word for it."""

    row: HistoryRow
    why: str


class Sifted(Struct, frozen=True):
    """What became of rows that were filed one by one."""

    judged: Judged
    refused: Sequence[Refused]


def unpackable(rows: Iterable[HistoryRow]) -> list[Refused]:
    """The rows that no column can hold: known without asking."""
    return [Refused(row, why) for row in rows if (why := why_not_packed(row)) is not None]


async def file_each(connection: AsyncConnection, firsts: Iterable[HistoryRow]) -> AsyncCursor[Answer]:
    """Inside the caller's transaction and pipeline: files what can be filed; rows and their stamps are distinct,
    and packable. Nothing is waited for but what the pipeline waits for."""
    rows = list(firsts)
    await connection.execute(_FILL, {"rows": json.encode(rows).decode()})
    cursor: AsyncCursor[Answer] = connection.cursor(binary=True)
    # Never prepared: only a plan made for these bounds leaves the other partitions alone.
    return await cursor.execute(_FILE_EACH, bounds(rows), prepare=False)


def sift(rows: Sequence[HistoryRow], firsts: Mapping[Stamp, HistoryRow], answers: Iterable[Answer]) -> Sifted:
    """What the answers mean. A row shares the fate of the first of its stamp where that is refused."""
    stored: dict[Stamp, bytes | None] = {}
    refusals: dict[Stamp, str] = {}
    for device_no, boot, seq, other_frame, why in answers:
        if why is None:
            stored[device_no, boot, seq] = other_frame
        else:
            refusals[device_no, boot, seq] = (why.splitlines() or ["refused"])[0][:MAX_REASON_CHARS]
    refused = [Refused(row, refusals[stamp_of(row)]) for row in rows if stamp_of(row) in refusals]
    taken = [row for row in rows if stamp_of(row) not in refusals]
    return Sifted(judge(taken, firsts, stored), refused)
