"""Bikes that came back from a use get another public id before anybody is shown them again."""

import asyncio
from collections.abc import Mapping
from itertools import islice

from msgspec import Struct

from firmware_protocol.messages import DeviceId
from gateway.backoff import Chance, next_delay_s
from gateway.core.advance import Advanced
from gateway.core.device import DeviceRecord
from gateway.core.live_state import LiveState
from gateway.core.use import shown_anew, waits_for_its_id
from gateway.counters import IngestCounters
from gateway.ingest.beliefs import Beliefs, LaneTrouble
from gateway.ingest.state_cache import CachedState
from gateway.ports import Registry, StoreUnavailable

MAX_AT_ONCE = 500
"""Bikes per transaction: a few milliseconds of PostgreSQL."""

GATHER_S = 0.05
"""So long others may join a transaction; nobody waits for it but the next rider."""


class FreshIdPorts(Struct, frozen=True):
    """What it needs of the world."""

    registry: Registry
    beliefs: Beliefs
    counters: IngestCounters
    chance: Chance


class _Used(Struct):
    """One bike that is to be shown under the id of this record."""

    shard: int
    cached: CachedState
    device: DeviceRecord

    def propose(self, state: LiveState | None) -> Advanced | None:
        return None if state is None else shown_anew(state, self.device)


class FreshIds:
    """What is wanted and not done when the process ends is found again in the live state, with the next report or
    when the lane is taken over."""

    def __init__(self, ports: FreshIdPorts) -> None:
        self._ports = ports
        self._wanted: dict[DeviceId, int] = {}
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._wanted)

    def look_at(self, shard: int, device_id: DeviceId, state: LiveState) -> None:
        """Asked for every state that a report made: whether the device waits for another id."""
        if waits_for_its_id(state):
            self._wanted[device_id] = shard
            self._wake.set()

    def drop(self, shard: int) -> None:
        """The shard is another's now."""
        self._wanted = {device_id: where for device_id, where in self._wanted.items() if where != shard}

    async def run(self) -> None:
        """Gives ids until it is cancelled; while a store is away, the bikes wait."""
        attempt = 0
        while True:
            await self._wake.wait()
            await asyncio.sleep(GATHER_S)
            self._wake.clear()
            try:
                await self.give()
                attempt = 0
            except (StoreUnavailable, LaneTrouble):
                self._wake.set()
                await asyncio.sleep(next_delay_s(attempt, self._ports.chance, first_s=0.1, cap_s=2.0))
                attempt += 1

    async def give(self) -> None:
        """Until nobody waits. Raises StoreUnavailable, LaneTrouble; who was not served stays wanted."""
        while self._wanted:
            taken = dict(islice(self._wanted.items(), MAX_AT_ONCE))
            for device_id in taken:
                # Before, not after: who comes back again meanwhile is wanted again.
                del self._wanted[device_id]
            try:
                await self._give_to(taken)
            except BaseException:
                self._wanted = {**taken, **self._wanted}
                raise

    async def _give_to(self, wanted: Mapping[DeviceId, int]) -> None:
        registry, beliefs = self._ports.registry, self._ports.beliefs
        known = await registry.load(list(wanted))
        cached = await beliefs.look_up(
            {device_id: (wanted[device_id], device.device_no) for device_id, device in known.items()}
        )
        # Who is in use again by now comes back later; and who has an id already is only to be shown.
        used = [device for device_id, device in known.items() if _needs_id(cached[device_id].state, device)]
        given = await registry.give_public_ids(used) if used else {}
        held = {
            device_id: _Used(wanted[device_id], cached[device_id], given.get(device_id, device))
            for device_id, device in known.items()
        }
        self._ports.counters.shown_anew(len(given))
        await beliefs.advance(held)


def _needs_id(state: LiveState | None, device: DeviceRecord) -> bool:
    return state is not None and waits_for_its_id(state) and device.public_id == state.used_as
