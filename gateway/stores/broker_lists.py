"""What the broker must know of devices, as PostgreSQL has it: passwords, revoked certificates, who is refused."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from psycopg import AsyncConnection

from gateway.broker_export import BrokerLists
from gateway.stores.postgres_link import PostgresLink

LINES_PER_ROW = 2_000
"""One row per line would cost the event loop a second for a hundred thousand devices."""

MAX_CHANGES = 1_000
"""Kept for whoever writes the broker's files later; a single one has all lists read anew."""

LOCK = 0x6C6B_6578
"""Held by the one gateway that writes the broker's files, for as long as its connection lives."""

Answer = TypeVar("Answer")

_TRY_LOCK = b"select pg_try_advisory_lock(%s)"
_TAKE_CHANGES = b"delete from broker_change returning 1"
# Those that whoever writes the files is taking out are waited for by nobody.
_DELETE_CHANGES = b"""
    delete from broker_change where change_no in (
        select change_no from broker_change where change_no <= (
            select change_no from broker_change order by change_no desc offset %s limit 1)
        for update skip locked)
"""
_PASSWORDS = b"""
    select string_agg(line, '' order by device_no) from (
        select device_no, device_no / %s as part, device_id || ':' || verifier || E'\\n' as line
        from device_credential join device using (device_no) where status = 2
    ) listed group by part order by part
"""
_REVOKED = b"select pem from revocation_list"
# Whoever once had a certificate and now has none that stands, or is not in service.
_DENIED = b"""
    select device_id from device where device_no in (select device_no from device_certificate)
      and (status <> 2 or device_no not in (
        select device_no from device_certificate where revoked_at is null and not_after > now()))
    order by device_id
"""


class PostgresBrokerLists:
    """broker_export.ListSource on one connection of its own."""

    def __init__(self, dsn: str) -> None:
        self._link = PostgresLink(dsn, name="broker-export", on_open=self._opened)
        self._has_lock = False

    async def close(self) -> None:
        """Whoever waits becomes the one that writes."""
        await self._link.close()

    async def export(
        self, write: Callable[[BrokerLists], Awaitable[Answer]], *, force: bool
    ) -> Answer | None:
        """Has the lists written when they changed since the last time, or `force`; None when they did not, or when
        another gateway writes them. What `write` could not finish is written again. Raises StoreUnavailable."""

        async def work(connection: AsyncConnection) -> Answer | None:
            if not await self._may(connection):
                return None
            async with connection.transaction():
                changes = await connection.execute(_TAKE_CHANGES)
                # The statements after this one see all that these changes were.
                if not changes.rowcount and not force:
                    return None
                return await write(await _lists(connection))

        return await self._link.run(work, deadline_s=60.0)

    async def trim(self) -> int:
        """Forgets old changes where no gateway writes the broker's files; returns how many.
        Raises StoreUnavailable."""

        async def work(connection: AsyncConnection) -> int:
            return (await connection.execute(_DELETE_CHANGES, (MAX_CHANGES,))).rowcount

        return await self._link.run(work)

    @property
    def has_lock(self) -> bool:
        """Whether this gateway is the one that writes, as far as it knows."""
        return self._has_lock

    async def _opened(self, connection: AsyncConnection) -> None:
        self._has_lock = False

    async def _may(self, connection: AsyncConnection) -> bool:
        if not self._has_lock:
            row = await (await connection.execute(_TRY_LOCK, (LOCK,))).fetchone()
            self._has_lock = bool(row and row[0])
        return self._has_lock


async def _lists(connection: AsyncConnection) -> BrokerLists:
    revoked = await (await connection.execute(_REVOKED)).fetchone()
    denied = await (await connection.execute(_DENIED)).fetchall()
    return BrokerLists(
        passwords=_passwords(connection),
        revoked=revoked[0] if revoked else "",
        denied=[device_id for (device_id,) in denied],
    )


async def _passwords(connection: AsyncConnection) -> AsyncIterator[bytes]:
    async with connection.cursor() as cursor:
        async for (lines,) in cursor.stream(_PASSWORDS, (LINES_PER_ROW,)):
            yield lines.encode()
