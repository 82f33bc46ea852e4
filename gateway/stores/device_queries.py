"""The registry as people read it: one device by any of its names, and the list."""

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from gateway.reading import KnownDevice
from gateway.stores.device_rows import DEVICE_COLUMNS, MODEL_COLUMNS, device_model, device_record
from gateway.stores.gathering import Gathering
from gateway.stores.postgres_links import PostgresLinks
from gateway.stores.reading_pool import ReadingPool

CONNECTIONS = 2
"""For single devices: a tenth of a millisecond each, so that one could do; the other while the first reconnects."""

FINDING = 2

FOUND_WITHIN_S = 3.0
"""Some thousand times what it takes; whoever waits for the next batch is told soon that the store is away."""

MAX_NAMES = 200
"""A millisecond or two of PostgreSQL."""

_DEVICE = ", ".join(f"device.{name.strip()}" for name in DEVICE_COLUMNS.split(","))
_MODEL = ", ".join(f"device_model.{name.strip()}" for name in MODEL_COLUMNS.split(","))
_JOINED = f"select {_DEVICE}, {_MODEL} from device join device_model using (model)"
_OF_OPERATOR = "(%(operator_id)s::int is null or device.operator_id = %(operator_id)s)"
_DEVICE_WIDTH = DEVICE_COLUMNS.count(",") + 1

_FIND = f"""
    {_JOINED} where device.device_id = any(%(names)s) or device.public_id = any(%(names)s)
""".encode()
_PAGE = f"""
    {_JOINED} where device.device_id > %(after)s and {_OF_OPERATOR} order by device.device_id limit %(limit)s
"""


class PostgresDeviceQueries:
    """Pages come through the reading pool; single devices, which every request begins with, over connections whose
    statements are prepared, those that are asked for together in one round trip."""

    def __init__(self, dsn: str, pool: ReadingPool) -> None:
        self._pool = pool
        self._links = PostgresLinks(dsn, name="devices", count=CONNECTIONS)
        self._finding = Gathering(self._named, side_by_side=FINDING, at_most=MAX_NAMES)

    async def find(self, name: str, *, operator_id: int | None = None) -> KnownDevice | None:
        """By device id or current public id, of one operator or of any; a device id goes first.
        Raises StoreUnavailable."""
        found = [
            known
            for known in await self._finding.ask(name)
            if operator_id is None or known.record.operator_id == operator_id
        ]
        return max(found, key=lambda known: known.record.device_id == name, default=None)

    async def page(self, after: str, limit: int, *, operator_id: int | None = None) -> Sequence[KnownDevice]:
        """In the order of device ids, after this one, of one operator or of all. Raises StoreUnavailable."""
        asked = {"after": after, "limit": limit, "operator_id": operator_id}
        rows = await self._pool.rows(_PAGE, asked)
        return [_known(row) for row in rows]

    async def close(self) -> None:
        """Closes its own connections, not the pool."""
        await self._links.close()

    async def _named(self, names: Sequence[str]) -> Sequence[Sequence[KnownDevice]]:
        """For each name those that it is the device id or the public id of."""

        async def fetch(connection: AsyncConnection) -> list[tuple[Any, ...]]:
            async with connection.cursor(binary=True) as cursor:
                await cursor.execute(_FIND, {"names": list(names)})
                return await cursor.fetchall()

        by_name: dict[str, list[KnownDevice]] = {name: [] for name in names}
        for known in map(_known, await self._links.run(fetch, deadline_s=FOUND_WITHIN_S)):
            for name in {known.record.device_id, known.record.public_id} & by_name.keys():
                by_name[name].append(known)
        return [by_name[name] for name in names]


def _known(row: Sequence[Any]) -> KnownDevice:
    return KnownDevice(device_record(row[:_DEVICE_WIDTH]), device_model(row[_DEVICE_WIDTH:]))
