"""The registry as people read it: one device by any of its names, and the list."""

from collections.abc import Sequence
from typing import Any

from gateway.reading import KnownDevice
from gateway.stores.device_rows import DEVICE_COLUMNS, MODEL_COLUMNS, device_model, device_record
from gateway.stores.reading_pool import ReadingPool

_DEVICE = ", ".join(f"device.{name.strip()}" for name in DEVICE_COLUMNS.split(","))
_MODEL = ", ".join(f"device_model.{name.strip()}" for name in MODEL_COLUMNS.split(","))
_JOINED = f"select {_DEVICE}, {_MODEL} from device join device_model using (model)"
_OF_OPERATOR = "(%(operator_id)s::int is null or device.operator_id = %(operator_id)s)"
_DEVICE_WIDTH = DEVICE_COLUMNS.count(",") + 1

_FIND = f"""
    {_JOINED} where (device.device_id = %(name)s or device.public_id = %(name)s) and {_OF_OPERATOR}
    order by device.device_id = %(name)s
"""
_PAGE = f"""
    {_JOINED} where device.device_id > %(after)s and {_OF_OPERATOR} order by device.device_id limit %(limit)s
"""


class PostgresDeviceQueries:
    """Reads through the reading pool."""

    def __init__(self, pool: ReadingPool) -> None:
        self._pool = pool

    async def find(self, name: str, *, operator_id: int | None = None) -> KnownDevice | None:
        """By device id or current public id, of one operator or of any; a device id goes first.
        Raises StoreUnavailable."""
        rows = await self._pool.rows(_FIND, {"name": name, "operator_id": operator_id})
        return _known(rows[-1]) if rows else None

    async def page(self, after: str, limit: int, *, operator_id: int | None = None) -> Sequence[KnownDevice]:
        """In the order of device ids, after this one, of one operator or of all. Raises StoreUnavailable."""
        asked = {"after": after, "limit": limit, "operator_id": operator_id}
        rows = await self._pool.rows(_PAGE, asked)
        return [_known(row) for row in rows]


def _known(row: Sequence[Any]) -> KnownDevice:
    return KnownDevice(device_record(row[:_DEVICE_WIDTH]), device_model(row[_DEVICE_WIDTH:]))
