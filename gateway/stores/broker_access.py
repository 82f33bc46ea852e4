"""Who may enter at a broker that asks for each device: read when it asks, remembered for a moment."""

from firmware_protocol.errors import MalformedTopic
from firmware_protocol.topics import checked_device_id
from gateway.broker_port import Admission
from gateway.core.device import Status
from gateway.ports import Clock
from gateway.stores.bounded import Bounded
from gateway.stores.reading_pool import ReadingPool

FRESH_FOR_S = 2.0
"""A suspension is in force within this; a device that says ten things at once asks PostgreSQL once."""

MAX_REMEMBERED = 20_000
"""Of devices that spoke in the last moments; a scan of names must not fill the memory."""

_ADMISSION = """
    select status, coalesce(verifier, ''), exists (
        select 1 from device_certificate certificate
        where certificate.device_no = device.device_no and revoked_at is null and not_after > now())
    from device left join device_credential using (device_no) where device_id = %(name)s
"""


class PostgresBrokerAccess:
    """broker_port.BrokerAccess through the reading pool."""

    def __init__(self, pool: ReadingPool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._remembered: Bounded[str, tuple[float, Admission | None]] = Bounded(MAX_REMEMBERED)

    async def of(self, name: str) -> Admission | None:
        """At most FRESH_FOR_S old; None for a device nobody registered. Raises StoreUnavailable."""
        try:
            checked_device_id(name)
        except MalformedTopic:
            # Whatever a client said comes here, and PostgreSQL takes no NUL: such a name is nobody's, and no fault.
            return None
        now_s = self._clock.monotonic_s()
        read_at_s, known = self._remembered.get(name, (float("-inf"), None))
        if now_s - read_at_s < FRESH_FOR_S:
            return known
        rows = await self._pool.rows(_ADMISSION, {"name": name})
        admission = Admission(Status(rows[0][0]), rows[0][1], rows[0][2]) if rows else None
        self._remembered.keep(name, (now_s, admission))
        return admission
