"""Bikes that came back from a use get another public id before anybody is shown them again."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from itertools import islice

from msgspec import Struct

from firmware_protocol.messages import DeviceId
from gateway.backoff import Chance, next_delay_s
from gateway.core.advance import Advanced
from gateway.core.device import DeviceRecord
from gateway.core.live_state import LiveState
from gateway.core.shown_anew import shown_anew, waits_for_its_id
from gateway.counters import IngestCounters
from gateway.ingest.beliefs import Beliefs, LaneTrouble
from gateway.ingest.state_cache import CachedState
from gateway.ports import Clock, Registry, StoreUnavailable

MAX_AT_ONCE = 500
"""Bikes per transaction: a few milliseconds of PostgreSQL."""

GATHER_S = 0.05
"""So long others may join a transaction; nobody waits for it but the next rider."""

AGAIN_S = 0.25
"""After one whose row was held by somebody, or for whom a marker was drawn that is another's."""

MAX_OF_AN_HOUR = 60
"""Ids for one bike. Nobody rides more often; a broken or hostile one that says so must not keep the registry busy,
and is shown again with its first report of the next hour."""

HOUR_MS = 3_600_000


class FreshIdPorts(Struct, frozen=True):
    """What it needs of the world."""

    registry: Registry
    beliefs: Beliefs
    counters: IngestCounters
    clock: Clock
    chance: Chance


class _Used(Struct):
    """One bike that is to be shown under the id of this record."""

    shard: int
    cached: CachedState
    device: DeviceRecord
    shown: bool = False

    def propose(self, state: LiveState | None) -> Advanced | None:
        advanced = None if state is None else shown_anew(state, self.device)
        self.shown = advanced is not None
        return advanced


class FreshIds:
    """Who waits, and the giving, which only `run` does. Nothing here must outlive the process: that a bike waits is
    written in its live state, where its next report, a sweep or the next owner of the lane finds it again."""

    def __init__(self, ports: FreshIdPorts) -> None:
        self._ports = ports
        self._wanted: dict[DeviceId, int] = {}
        """With the shard."""
        self._dropped: set[int] = set()
        """Shards that became another's while ids were given."""
        self._wake = asyncio.Event()
        self._given: Counter[DeviceId] = Counter()
        self._hour = -1
        self._leaving = False

    def __len__(self) -> int:
        return len(self._wanted)

    def look_at(self, shard: int, device_id: DeviceId, state: LiveState) -> None:
        """Notes a bike that waits. To be called for every state that is written or found."""
        if not waits_for_its_id(state) or self._leaving:
            return
        hour = self._ports.clock.now_ms() // HOUR_MS
        if hour != self._hour:
            self._hour = hour
            self._given.clear()
        if self._given[device_id] < MAX_OF_AN_HOUR:
            self._wanted[device_id] = shard
            self._wake.set()
        else:
            self._ports.counters.used_too_often(device_id)

    def drop(self, shard: int) -> None:
        """The shard is another's now."""
        self._dropped.add(shard)
        self._wanted = {device_id: where for device_id, where in self._wanted.items() if where != shard}

    def leave(self) -> None:
        """The process ends: the next owners of its lanes find who waits."""
        self._leaving = True
        self._wanted.clear()

    async def run(self) -> None:
        """Gives ids until it is cancelled; while a store is away, the bikes wait."""
        attempt = 0
        while True:
            await self._wake.wait()
            await asyncio.sleep(GATHER_S)
            self._wake.clear()
            try:
                await self.give()
                attempt, pause_s = 0, AGAIN_S
            except (StoreUnavailable, LaneTrouble):
                pause_s = next_delay_s(attempt, self._ports.chance, first_s=0.1, cap_s=2.0)
                attempt += 1
            if self._wanted:
                await asyncio.sleep(pause_s)
                self._wake.set()

    async def give(self) -> None:
        """One turn for each who waits now; who could not be served waits on. Raises StoreUnavailable, LaneTrouble."""
        turn, self._wanted = self._wanted, {}
        self._dropped.clear()
        waiting = iter(turn.items())
        unserved: dict[DeviceId, int] = {}
        try:
            while some := dict(islice(waiting, MAX_AT_ONCE)):
                unserved |= some
                for device_id in await self._served(some):
                    del unserved[device_id]
        finally:
            left = {**unserved, **dict(waiting)}
            self._wanted |= {device_id: shard for device_id, shard in left.items() if self._is_ours(shard)}

    def _is_ours(self, shard: int) -> bool:
        return shard not in self._dropped and not self._leaving

    async def _served(self, wanted: Mapping[DeviceId, int]) -> list[DeviceId]:
        """Those that do not wait any more, or that nobody knows."""
        registry, beliefs = self._ports.registry, self._ports.beliefs
        known = await registry.load(list(wanted))
        cached = await beliefs.look_up({d: (wanted[d], device.device_no) for d, device in known.items()})
        used = {
            d: one.state.used_no for d, one in cached.items() if one.state and waits_for_its_id(one.state)
        }
        # Told by the store and not from memory, which may be older than the number of the last use.
        devices = await registry.give_public_ids(used) if used else {}
        held = {d: _Used(wanted[d], cached[d], device) for d, device in devices.items()}
        await beliefs.advance(held)
        shown = [device_id for device_id, one in held.items() if one.shown]
        self._given.update(shown)
        self._ports.counters.shown_anew(len(shown))
        still = {d for d, one in held.items() if one.cached.state and waits_for_its_id(one.cached.state)}
        return [device_id for device_id in wanted if device_id not in still]
