"""Who reads which lane, by the database's clock."""

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import AsyncConnection

from gateway.stores.postgres_link import PostgresLink
from gateway.stores.statements import statement

LEASE_S = 10.0
"""Three renewals may be missed; a lane without an owner is quiet for no longer than this."""

DEADLINE_S = 5.0
"""Half a lease: who cannot renew learns it while the lane is still its own."""

_TAKE = statement("take_leases")
_RENEW = statement("renew_leases")


class PostgresLeases:
    """ports.Leases on one connection of its own: no batch holds up a renewal."""

    def __init__(self, dsn: str, *, lease_s: float = LEASE_S) -> None:
        self._link = PostgresLink(dsn, name="leases")
        self._lease_s = lease_s

    async def take(self, owner: str, lanes: Sequence[int]) -> Mapping[int, int]:
        """lane -> lease number for those now ours; the others have another owner. The same name retakes at once,
        under a new number. Raises StoreUnavailable."""
        names = [_name(lane) for lane in lanes]
        taken = await self._rows(_TAKE, {"owner": owner, "lanes": names, "lease_s": self._lease_s})
        return {_lane(name): lease_no for name, lease_no in taken}

    async def renew(self, owner: str, held: Mapping[int, int]) -> frozenset[int]:
        """The lanes that are still ours, now for another lease. Raises StoreUnavailable."""
        if not held:
            return frozenset()
        return frozenset(_lane(name) for (name,) in await self._prolong(owner, held, self._lease_s))

    async def release(self, owner: str, held: Mapping[int, int]) -> None:
        """Another may take these lanes at once. Raises StoreUnavailable."""
        if held:
            await self._prolong(owner, held, -1.0)

    async def close(self) -> None:
        await self._link.close()

    async def _prolong(self, owner: str, held: Mapping[int, int], lease_s: float) -> list[tuple[Any, ...]]:
        arguments = {
            "owner": owner,
            "lanes": [_name(lane) for lane in held],
            "lease_nos": list(held.values()),
            "lease_s": lease_s,
        }
        return await self._rows(_RENEW, arguments)

    async def _rows(self, sql: bytes, arguments: Mapping[str, object]) -> list[tuple[Any, ...]]:
        async def fetch(connection: AsyncConnection) -> list[tuple[Any, ...]]:
            return await (await connection.execute(sql, arguments)).fetchall()

        return await self._link.run(fetch, deadline_s=DEADLINE_S)


def _name(lane: int) -> str:
    return f"{lane:02x}"


def _lane(name: str) -> int:
    return int(name, 16)
