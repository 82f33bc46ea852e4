"""One connection to PostgreSQL that opens itself again, keeps deadlines and never cancels a commit."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict

from gateway.ports import StoreUnavailable
from gateway.stores.quick_connection import QuickConnection

Answer = TypeVar("Answer")
Arguments = Mapping[str, object] | Sequence[object]

DEADLINE_S = 10.0
"""Longer than any batch takes on a slow disk, shorter than the keep-alive of the links that wait for it."""

STATEMENT_TIMEOUT_S = 8.0
"""Below the deadline, so that a server that is only slow says so itself."""

LOCK_TIMEOUT_S = 5.0
"""Nothing of ours holds a lock for as long."""

TIMER_STEP_S = 0.005
"""uvloop's timers are of whole milliseconds, and may come before their time by its own clock."""

CONNECT_TIMEOUT_S = 4
MAX_PAUSE_S = 1.0
"""Between attempts to connect: the first commit follows within 5 s once the server accepts again."""

_OPTIONS = (
    f"-c statement_timeout={STATEMENT_TIMEOUT_S:.0f}s -c lock_timeout={LOCK_TIMEOUT_S:.0f}s "
    "-c idle_in_transaction_session_timeout=30s -c timezone=UTC -c synchronous_commit=on"
)


def connection_settings(dsn: str, name: str) -> dict[str, str | int]:
    """What every connection to PostgreSQL is opened with: a half-open link ends within the deadline."""
    asked = conninfo_to_dict(dsn)
    return {
        **{key: value for key, value in asked.items() if value is not None},
        "application_name": f"latchkey-{name}",
        "connect_timeout": CONNECT_TIMEOUT_S,
        "tcp_user_timeout": 10_000,
        "keepalives_idle": 5,
        "keepalives_interval": 3,
        "keepalives_count": 3,
        "options": f"{asked.get('options') or ''} {_OPTIONS}".strip(),
    }


class PostgresLink:
    """One connection, one piece of work at a time.

    Work that is given up on (deadline, cancelled caller) leaves its connection cut, not cancelled: a commit that
    was on its way may or may not have happened, and the next work starts on a new connection.
    """

    def __init__(
        self, dsn: str, *, name: str, on_open: Callable[[AsyncConnection], Awaitable[None]] | None = None
    ):
        self._dsn = dsn
        self._name = name
        self._on_open = on_open
        self._turn = asyncio.Lock()
        self._connection: QuickConnection | None = None
        self._pause_s = 0.0

    @property
    def busy(self) -> bool:
        """Some work has its turn."""
        return self._turn.locked()

    async def run(
        self, work: Callable[[QuickConnection], Awaitable[Answer]], *, deadline_s: float = DEADLINE_S
    ) -> Answer:
        """The answer of `work`, run on an autocommit connection of its own turn.

        Raises StoreUnavailable for whatever leaves the outcome unknown; errors that PostgreSQL raises about the
        content (DataError, IntegrityError) come through as they are.
        """
        loop = asyncio.get_running_loop()
        async with self._turn:
            end_s = loop.time() + deadline_s
            try:
                connection = self._connection
                if connection is None or connection.closed:
                    connection = await self._opened(end_s)
                overdue = loop.call_at(end_s, cut, connection)
                try:
                    return await work(connection)
                finally:
                    overdue.cancel()
            except (psycopg.DataError, psycopg.IntegrityError):
                raise
            except (psycopg.Error, OSError) as error:
                await self._discard()
                why = f"{type(error).__name__}: {error}"
                if loop.time() > end_s - TIMER_STEP_S:
                    why = f"no answer from PostgreSQL within {deadline_s:g} s"
                raise StoreUnavailable(f"{self._name}: {why}") from error
            except BaseException:
                await self._discard()
                raise

    async def rows(self, sql: bytes, arguments: Arguments = ()) -> list[tuple[Any, ...]]:
        """All rows of one statement, a transaction of its own. Raises as `run` does."""
        return await self.run(lambda connection: fetch_rows(connection, sql, arguments))

    async def close(self) -> None:
        """Closes the connection; the next work would open it again."""
        async with self._turn:
            await self._discard()

    async def _opened(self, end_s: float) -> QuickConnection:
        async with asyncio.timeout_at(end_s):
            await asyncio.sleep(self._pause_s)
            try:
                # The keyword arguments are those of libpq.
                connection = await QuickConnection.connect(
                    autocommit=True,
                    **connection_settings(self._dsn, self._name),  # type: ignore[arg-type]  # libpq's own
                )
            except psycopg.Error:
                self._pause_s = min(MAX_PAUSE_S, self._pause_s * 2 or 0.05)
                raise
            self._pause_s = 0.0
            self._connection = connection
            if self._on_open is not None:
                await self._on_open(connection)
            return connection

    async def _discard(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


async def fetch_rows(
    connection: AsyncConnection, sql: bytes, arguments: Arguments = ()
) -> list[tuple[Any, ...]]:
    """All rows of one statement, in PostgreSQL's binary form. Raises psycopg.Error."""
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(sql, arguments)
        return await cursor.fetchall()


@contextmanager
def deadline(connection: AsyncConnection, within_s: float) -> Iterator[None]:
    """Cuts the connection when it is overdue: cancelling would wait for a server that does not answer."""
    overdue = asyncio.get_running_loop().call_later(within_s, cut, connection)
    try:
        yield
    finally:
        overdue.cancel()


def cut(connection: AsyncConnection) -> None:
    """Ends the connection's stream at once; whoever waits on it sees it closed."""
    if connection.closed:
        return
    with socket.socket(fileno=os.dup(connection.fileno())) as handle:
        try:
            handle.shutdown(socket.SHUT_RDWR)
        except OSError:
            return
