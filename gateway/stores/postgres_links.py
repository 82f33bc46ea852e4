"""A few connections for short transactions, so that one that waits does not hold up the others."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from gateway.ports import StoreUnavailable
from gateway.stores.postgres_link import DEADLINE_S, PostgresLink
from gateway.stores.quick_connection import QuickConnection, Texts

WAIT_S = 5.0
"""For a free connection; who waits longer is told that the store is away."""

Answer = TypeVar("Answer")


class PostgresLinks:
    """Hands each piece of work to the connection that was free last, whose statements are the warmest."""

    def __init__(self, dsn: str, *, name: str, count: int) -> None:
        self._links = [PostgresLink(dsn, name=name) for _ in range(count)]
        self._free: asyncio.LifoQueue[PostgresLink] = asyncio.LifoQueue()
        for link in self._links:
            self._free.put_nowait(link)

    async def open(self) -> None:
        """All connections, which would open with their first work otherwise. Raises StoreUnavailable."""
        await asyncio.gather(*(link.rows(b"select 1") for link in self._links))

    async def run(
        self, work: Callable[[QuickConnection], Awaitable[Answer]], *, deadline_s: float = DEADLINE_S
    ) -> Answer:
        """As `PostgresLink.run`. Raises StoreUnavailable also when no connection is free in time."""
        link = await self._take() if self._free.empty() else self._free.get_nowait()
        try:
            return await link.run(work, deadline_s=deadline_s)
        finally:
            self._free.put_nowait(link)

    async def _take(self) -> PostgresLink:
        try:
            async with asyncio.timeout(WAIT_S):
                return await self._free.get()
        except TimeoutError:
            raise StoreUnavailable(f"no connection to PostgreSQL was free within {WAIT_S:g} s") from None

    async def call(
        self,
        statement: bytes,
        arguments: Sequence[bytes | None],
        *,
        meanwhile: Callable[[], None] | None = None,
    ) -> Texts:
        """As `QuickConnection.call`. Raises as `run` does."""
        return await self.run(lambda connection: connection.call(statement, arguments, meanwhile=meanwhile))

    async def close(self) -> None:
        """Closes all connections; the next work would open one again."""
        for link in self._links:
            await link.close()
