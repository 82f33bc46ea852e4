"""Frames kept for a person: read, marked for replay, and gone once they were replayed."""

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import AsyncConnection

from gateway.reading import QuarantineRow
from gateway.stores.instants import unix_ms
from gateway.stores.postgres_link import PostgresLink

MAX_TAKEN = 500
"""Frames of at most 16 KiB each: 8 MB at once."""

_COLUMNS = "quarantine_no, device_id, topic, reason, place, received_at, frame"
_PAGE = f"""
    select {_COLUMNS} from quarantine
    where (%(before)s::bigint is null or quarantine_no < %(before)s)
      and (%(reason)s::text is null or reason = %(reason)s)
      and (%(operator_id)s::int is null or operator_id = %(operator_id)s)
    order by quarantine_no desc limit %(limit)s
""".encode()
_COUNTS = b"select reason, count(*) from quarantine group by reason"
_MARK = b"""
    update quarantine set replay_marked_at = clock_timestamp()
    where quarantine_no = any(%(numbers)s) and replay_marked_at is null
"""
_MARK_REASON = b"""
    update quarantine set replay_marked_at = clock_timestamp() where reason = %(reason)s and replay_marked_at is null
"""
_MARKED = f"""
    select {_COLUMNS} from quarantine where replay_marked_at is not null order by quarantine_no limit %(limit)s
""".encode()
_SETTLE = b"delete from quarantine where quarantine_no = any(%(numbers)s)"


class PostgresQuarantine:
    """What the batches put into the table `quarantine`. Its bounds are kept by `PostgresHistory.trim`."""

    def __init__(self, dsn: str) -> None:
        self._link = PostgresLink(dsn, name="quarantine")

    async def page(
        self, before: int | None, limit: int, *, reason: str | None = None, operator_id: int | None = None
    ) -> Sequence[QuarantineRow]:
        """Newest first, older than number `before`; of one operator's devices, or of all, those that nobody
        registered among them. Raises StoreUnavailable."""
        asked = {"before": before, "limit": limit, "reason": reason, "operator_id": operator_id}
        rows = await self._link.rows(_PAGE, asked)
        return [_quarantined(row) for row in rows]

    async def counts(self) -> Mapping[str, int]:
        """How many frames wait, by reason. Raises StoreUnavailable."""
        return dict(await self._link.rows(_COUNTS, {}))

    async def mark_for_replay(self, numbers: Sequence[int]) -> int:
        """How many of these are marked now and were not before. Raises StoreUnavailable."""
        return await self._changed(_MARK, {"numbers": list(numbers)})

    async def mark_reason_for_replay(self, reason: str) -> int:
        """All that wait for this reason. Raises StoreUnavailable."""
        return await self._changed(_MARK_REASON, {"reason": reason})

    async def marked(self, limit: int = MAX_TAKEN) -> Sequence[QuarantineRow]:
        """Marked frames, oldest first; they stay until they are settled, so a crash in between replays them again.
        Raises StoreUnavailable."""
        return [_quarantined(row) for row in await self._link.rows(_MARKED, {"limit": min(limit, MAX_TAKEN)})]

    async def settle(self, numbers: Sequence[int]) -> int:
        """Forgets frames that were replayed (what is wrong with them still comes back by itself).
        Raises StoreUnavailable."""
        return await self._changed(_SETTLE, {"numbers": list(numbers)})

    async def close(self) -> None:
        await self._link.close()

    async def _changed(self, sql: bytes, arguments: Mapping[str, object]) -> int:
        async def change(connection: AsyncConnection) -> int:
            return (await connection.execute(sql, arguments)).rowcount

        return await self._link.run(change)


def _quarantined(row: Sequence[Any]) -> QuarantineRow:
    number, device_id, topic, reason, place, received_at, frame = row
    return QuarantineRow(number, device_id, topic, reason, place, unix_ms(received_at), bytes(frame))
