"""The log of who did what: appended by the database itself, read by page, and walked to see that nobody changed it."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import psycopg
from msgspec import Struct
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from gateway.reading import AuditRow
from gateway.stores.instants import unix_ms
from gateway.stores.postgres_link import PostgresLink
from gateway.stores.reading_pool import ReadingPool

BEGINNING = hashlib.sha256(b"latchkey audit 1").digest()
"""What the first row follows on."""

_APPEND = b"select audit_append(%s, %s, %s, %s, %s, %s, %s, %s)"
_PAGE = """
    select audit_no, at, actor, role, action, subject, why, before, after from audit
    where operator_id = %(operator_id)s and (%(before)s::bigint is null or audit_no < %(before)s)
    order by audit_no desc limit %(limit)s
"""
_WALK = b"""
    select audit_no, array[audit_no::text, operator_id::text,
            to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
            actor, role, action, subject, why, before::text, after::text], prev_hash, hash
    from audit order by audit_no
"""
_HEAD = b"select audit_no, hash from audit_head"


class AuditEntry(Struct, frozen=True):
    """Something a person or a program did to what is not theirs alone."""

    operator_id: int
    actor: str
    """The principal, as `role:subject`; never a name, a number or an openid."""
    role: str
    action: str
    subject: str
    """What it was done to."""
    why: str = ""
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


def _arguments(entry: AuditEntry) -> tuple[object, ...]:
    before, after = (None if one is None else Jsonb(one) for one in (entry.before, entry.after))
    told = (entry.operator_id, entry.actor, entry.role, entry.action, entry.subject, entry.why)
    return (*told, before, after)


async def append_audit(connection: AsyncConnection, entry: AuditEntry) -> None:
    """As the last statement of the transaction: everybody else who appends waits for its commit."""
    await connection.execute(_APPEND, _arguments(entry))


def append_audit_now(connection: psycopg.Connection, entry: AuditEntry) -> None:
    """The same for the command line."""
    connection.execute(_APPEND, _arguments(entry))


class PostgresAudit:
    """The log for those who append one row and for those who read it."""

    def __init__(self, link: PostgresLink, pool: ReadingPool) -> None:
        self._link = link
        self._pool = pool

    async def append(self, entry: AuditEntry) -> None:
        """Committed on return. Raises StoreUnavailable."""
        await self._link.run(lambda connection: append_audit(connection, entry))

    async def page(self, operator_id: int, before: int | None, limit: int) -> Sequence[AuditRow]:
        """One operator's rows, newest first, older than number `before`. Raises StoreUnavailable."""
        arguments = {"operator_id": operator_id, "before": before, "limit": limit}
        rows = await self._pool.rows(_PAGE, arguments)
        return [AuditRow(row[0], unix_ms(row[1]), *row[2:]) for row in rows]


class Intact(Struct, frozen=True):
    """Every row follows on the one before; `hash` is that of the last."""

    rows: int
    hash: bytes


class Broken(Struct, frozen=True):
    """The first row that is not as it was written."""

    number: int
    what: str


AuditLine = tuple[int, Sequence[str | None], bytes, bytes]
"""Number, fields in the order in which they are hashed, the hash before, and its own."""


def walk(lines: Iterable[AuditLine], head: tuple[int, bytes]) -> Intact | Broken:
    """Follows the chain from its beginning to its head. `lines` in the order of their numbers."""
    last, previous = 0, BEGINNING
    for number, fields, prev_hash, hashed in lines:
        if number != last + 1:
            return Broken(last + 1, "is missing" if number > last + 1 else "is there twice")
        if prev_hash != previous:
            return Broken(number, "does not follow on the row before")
        if hashlib.sha256(previous + audit_form(fields)).digest() != hashed:
            return Broken(number, "says something else than was written")
        last, previous = number, hashed
    if head[0] > last:
        return Broken(last + 1, "is missing")
    if head != (last, previous):
        return Broken(last, "is not the row that was written last")
    return Intact(last, previous)


def audit_form(fields: Sequence[str | None]) -> bytes:
    """The bytes a row is hashed as: LENGTH:TEXT in UTF-8, an absent field as -, with commas between."""
    encoded = (None if field is None else field.encode() for field in fields)
    return b",".join(b"-" if one is None else b"%d:%b" % (len(one), one) for one in encoded)


def verify_audit(dsn: str) -> Intact | Broken:
    """Walks the whole log as it was at one moment. Raises psycopg.Error."""
    with psycopg.connect(dsn, connect_timeout=10) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        head = connection.execute(_HEAD).fetchone()
        if head is None:
            return Broken(1, "is missing, and so is the record of where the log ends")
        with connection.cursor("audit_walk") as cursor:
            cursor.itersize = 5_000
            cursor.execute(_WALK)
            return walk(_lines(cursor), (head[0], bytes(head[1])))


def hash_of(dsn: str, number: int) -> bytes | None:
    """Of one row; None when there is none. Raises psycopg.Error."""
    with psycopg.connect(dsn, connect_timeout=10) as connection:
        row = connection.execute(b"select hash from audit where audit_no = %s", (number,)).fetchone()
        return None if row is None else bytes(row[0])


def _lines(rows: Iterable[Sequence[Any]]) -> Iterator[AuditLine]:
    return ((number, fields, bytes(before), bytes(own)) for number, fields, before, own in rows)
