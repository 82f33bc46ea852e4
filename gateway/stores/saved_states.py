"""The saved state of one device, for who cannot ask Redis."""

from msgspec import msgpack

from gateway.core.live_state import LiveState
from gateway.stores.reading_pool import ReadingPool

_SAVED = "select state from last_report where device_no = %s"
_decode_state = msgpack.Decoder(LiveState).decode


class PostgresSavedStates:
    """Reads through the reading pool."""

    def __init__(self, pool: ReadingPool) -> None:
        self._pool = pool

    async def saved(self, device_no: int) -> LiveState | None:
        """About a minute old at most while the device reports; None when none was saved yet.
        Raises StoreUnavailable."""
        rows = await self._pool.rows(_SAVED, (device_no,))
        return _decode_state(rows[0][0]) if rows else None
