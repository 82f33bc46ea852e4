"""What must never happen, and did: as people read it."""

from collections.abc import Sequence

from gateway.reading import IncidentRow
from gateway.stores.instants import unix_ms
from gateway.stores.reading_pool import ReadingPool

_PAGE = """
    select incident_no, incident.kind, device.device_id, command_id, at, detail
    from incident join device using (device_no)
    where incident.operator_id = %(operator_id)s and incident_no < %(before)s
    order by incident_no desc limit %(limit)s
"""
_NEWEST = 2**63 - 1


class PostgresIncidents:
    """Reads through the reading pool."""

    def __init__(self, pool: ReadingPool) -> None:
        self._pool = pool

    async def page(self, operator_id: int, before: int | None, limit: int) -> Sequence[IncidentRow]:
        """Of this operator, newest first, older than number `before`. Raises StoreUnavailable."""
        arguments = {"operator_id": operator_id, "before": before or _NEWEST, "limit": limit}
        return [
            IncidentRow(number, kind, device_id, command_id, unix_ms(at), detail)
            for number, kind, device_id, command_id, at, detail in await self._pool.rows(_PAGE, arguments)
        ]
