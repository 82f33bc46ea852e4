"""A few connections for questions that change nothing, so that one slow question does not hold up the others."""

from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from gateway.ports import StoreUnavailable
from gateway.stores.postgres_link import Arguments, connection_settings, deadline

MAX_CONNECTIONS = 4
"""Per API process: PostgreSQL has two cores where everything runs on one machine."""

WAIT_S = 3.0
"""For a free connection; who waits longer is told that the store is away."""

DEADLINE_S = 9.0
"""Just above the time the server gives itself for a statement: reached when it is frozen or out of reach."""

MAX_WAITING = 200
"""Requests in the queue for a connection; more than WAIT_S can serve."""


class ReadingPool:
    """Read-only statements, each a transaction of its own."""

    def __init__(self, dsn: str) -> None:
        settings = connection_settings(dsn, "reading")
        settings["options"] = f"{settings['options']} -c default_transaction_read_only=on"
        self._pool: AsyncConnectionPool[AsyncConnection[tuple[Any, ...]]] = AsyncConnectionPool(
            "",
            # A prepared statement may be planned for all ranges: only a plan for this one leaves partitions alone.
            kwargs={**settings, "autocommit": True, "prepare_threshold": None},
            min_size=1,
            max_size=MAX_CONNECTIONS,
            max_waiting=MAX_WAITING,
            timeout=WAIT_S,
            # A restart of the server leaves dead connections in the pool: look before use.
            check=_look,
            open=False,
        )

    async def open(self) -> None:
        """Starts connecting; does not wait for the server."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        await self._pool.close()

    async def rows(self, sql: str, arguments: Arguments = ()) -> list[tuple[Any, ...]]:
        """All rows of the answer. Raises StoreUnavailable."""
        try:
            async with self._pool.connection() as connection:
                with deadline(connection, DEADLINE_S):
                    cursor = connection.cursor(binary=True)
                    await cursor.execute(sql.encode(), arguments)
                    return await cursor.fetchall()
        except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, OSError) as error:
            raise StoreUnavailable(f"reading: {type(error).__name__}: {error}") from error

    async def ping(self) -> None:
        """Raises StoreUnavailable unless PostgreSQL answers."""
        await self.rows("select 1")


async def _look(connection: AsyncConnection) -> None:
    with deadline(connection, DEADLINE_S):
        await AsyncConnectionPool.check_connection(connection)
