"""Devices by the names people and programs call them, from memory for as long as nobody changes them."""

import asyncio
from contextlib import suppress

from firmware_protocol.messages import DeviceId
from gateway.ports import Clock, StoreUnavailable
from gateway.reading import KnownDevice
from gateway.stores.bounded import Bounded
from gateway.stores.device_queries import PostgresDeviceQueries
from gateway.stores.registry import MAX_RECORDS, PostgresRegistry

OPEN_AGAIN_S = 1.0
"""While PostgreSQL is away."""

TRUSTED_S = 10.0
"""After the last look for changes: a few of them may fail."""


class DevicesAtHand:
    """As `PostgresDeviceQueries.find`, without a question where the answer is known. A change is heard by the
    registry within two seconds or so, but for a new boot; whoever acts on a device must be able to find out, and
    then calls `doubt`."""

    def __init__(self, registry: PostgresRegistry, queries: PostgresDeviceQueries, clock: Clock) -> None:
        """Nothing is taken from memory unless `run` runs."""
        self.queries = queries
        self._registry = registry
        self._clock = clock
        self._ids: Bounded[str, DeviceId] = Bounded(MAX_RECORDS)
        """By device id or public id, as it was asked for."""

    @property
    def follows(self) -> bool:
        """Whether changes are heard of, and were lately."""
        return self._clock.monotonic_s() - self._registry.heard_s < TRUSTED_S

    async def find(self, name: str, *, operator_id: int | None = None) -> KnownDevice | None:
        """By device id or current public id, of one operator or of any. Raises StoreUnavailable."""
        device_id = self._ids.get(name) if self.follows else None
        record = None if device_id is None else self._registry.known(device_id)
        own = record is not None and operator_id in (None, record.operator_id)
        if record is not None and own and name in (record.device_id, record.public_id):
            return KnownDevice(record, self._registry.model(record.model))
        found = await self.queries.find(name, operator_id=operator_id)
        if found is not None and self.follows:
            with suppress(StoreUnavailable):
                # Read by the registry itself: what it reads and the changes it hears of are in one order.
                await self._registry.load([found.record.device_id])
                self._ids.keep(name, found.record.device_id)
        return found

    def doubt(self, name: str) -> None:
        """It was found to be another: the next who asks for it is told by PostgreSQL."""
        device_id = self._ids.pop(name, None)
        if device_id is not None:
            self._registry.forget(device_id)

    async def run(self) -> None:
        """For ever: hears of changes; ends only by cancellation."""
        while not self.follows:
            try:
                await self._registry.open()
            except StoreUnavailable:
                await asyncio.sleep(OPEN_AGAIN_S)
        await self._registry.follow_changes()

    async def close(self) -> None:
        """Closes the connections of both."""
        await self._registry.close()
        await self.queries.close()
