"""The live states of our shards: cached, changed by compare-and-set, rebuilt when Redis lost them."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from firmware_protocol.messages import DeviceId
from gateway.core.advance import Advanced
from gateway.core.live_state import LiveState
from gateway.counters import IngestCounters
from gateway.ingest.state_cache import CachedState, StateCache
from gateway.ports import FeedEpochLost, LiveStates, ShardSteps, StatesUnreadable, Step

MAX_ROUNDS = 4
"""The first try, and three with states that were read again."""

Rebuild = Callable[[int], Awaitable[str]]
"""Makes a lost shard whole and returns its new epoch."""


class LaneTrouble(Exception):
    """The live states of these shards keep changing under us, or keep being lost: somebody else writes them.
    The batch must not be acknowledged; what was cached of the shards is dropped already."""

    def __init__(self, shards: frozenset[int]) -> None:
        super().__init__(
            "live states keep changing in shards " + ", ".join(f"{s:02x}" for s in sorted(shards))
        )
        self.shards = shards


class Held(Protocol):
    """One device whose state is about to change."""

    @property
    def shard(self) -> int: ...

    @property
    def cached(self) -> CachedState: ...

    def propose(self, state: LiveState | None) -> Advanced | None:
        """What to make of this state; None to leave it. Asked again when the state turns out to be another."""


class Prepared(Struct, frozen=True):
    """What the held devices come to, worked out while something else was awaited."""

    steps: Sequence[tuple[int, Step]] = ()
    """(shard, step)."""
    parts: Sequence[ShardSteps] = ()
    """The same, ready to be sent; empty where that was not known how."""


NOTHING_PREPARED = Prepared()


class Beliefs:
    """All flows of a process that change live states share one of these."""

    def __init__(
        self,
        live_states: LiveStates,
        rebuild: Rebuild,
        counters: IngestCounters,
        cache: StateCache | None = None,
    ) -> None:
        self.cache = StateCache() if cache is None else cache
        self._live_states = live_states
        self._rebuild = rebuild
        self._counters = counters
        self._epochs: dict[int, str] = {}
        self._rebuilding: dict[int, asyncio.Lock] = {}

    async def look_up(self, wanted: Mapping[DeviceId, tuple[int, int]]) -> dict[DeviceId, CachedState]:
        """States of devices given as (shard, device_no), read where they are not cached. A lost shard is rebuilt
        before it is read, or everybody would look as if never heard of. Raises StoreUnavailable."""
        found: dict[DeviceId, CachedState] = {}
        missing: dict[int, list[DeviceId]] = {}
        for device_id, (shard, device_no) in wanted.items():
            cached = self.cache.get(shard, device_id)
            if cached is None or cached.doubted:
                missing.setdefault(shard, []).append(device_id)
            found[device_id] = cached or CachedState(device_no, None)
        if missing:
            for shard in missing:
                await self.epoch(shard)
            loaded = await self._load(missing)
            for shard, device_ids in missing.items():
                for device_id in device_ids:
                    found[device_id] = self._keep(shard, device_id, found[device_id], loaded)
        return found

    def _keep(
        self, shard: int, device_id: DeviceId, read: CachedState, loaded: Mapping[DeviceId, LiveState]
    ) -> CachedState:
        """What is known of the device from here on. Another flow may have read it at the same time, and what a batch
        has committed since must not be forgotten with its copy."""
        known = self.cache.get(shard, device_id)
        if known is not None and known is not read and not known.doubted:
            return known
        read.learn(loaded.get(device_id))
        self.cache.put(shard, device_id, read)
        return read

    def prepare(self, held: Mapping[DeviceId, Held]) -> Prepared:
        """What `advance` would begin with now. Nothing is written, and nothing is asked."""
        steps = steps_of(held)
        by_shard = _by_shard(steps)
        known = {shard: epoch for shard in by_shard if (epoch := self._epochs.get(shard)) is not None}
        if len(known) < len(by_shard):
            return Prepared(steps)
        pack = self._live_states.pack
        return Prepared(
            steps, [pack(ShardSteps(shard, known[shard], part)) for shard, part in by_shard.items()]
        )

    async def advance(self, held: Mapping[DeviceId, Held], prepared: Prepared = NOTHING_PREPARED) -> int:
        """Writes what the held devices propose, all in one round trip when nobody interferes; returns how
        many changes maps were told of. `prepared` is what `prepare` made of them a moment ago: a state that
        changed since is a mismatch. Raises LaneTrouble, StoreUnavailable."""
        announced = 0
        remaining = held
        for attempt in range(MAX_ROUNDS):
            if attempt or not prepared.steps:
                prepared = Prepared(steps_of(remaining))
            steps = prepared.steps
            if not steps:
                return announced
            try:
                mismatched = await self._write(prepared)
            except FeedEpochLost:
                await self._recover({shard for shard, _ in steps})
                # Whatever the script did for the other shards is read back, not guessed.
                mismatched = frozenset(step.device_id for _, step in steps)
            for _, step in steps:
                if step.device_id not in mismatched:
                    remaining[step.device_id].cached.state = step.after
                    announced += step.announce
            if not mismatched:
                return announced
            remaining = {device_id: remaining[device_id] for device_id in mismatched}
            await self._read_again(remaining)
        raise self._trouble(remaining)

    async def epoch(self, shard: int) -> str:
        """The shard's feed epoch; a shard without one is rebuilt first. Raises StoreUnavailable."""
        known = self._epochs.get(shard)
        if known is not None:
            return known
        # One at a time: a second rebuild would put back what was read before the first one's changes.
        async with self._rebuilding.setdefault(shard, asyncio.Lock()):
            known = self._epochs.get(shard)
            if known is None:
                known = await self._live_states.epoch(shard)
                if known is None:
                    self.cache.drop(shard)
                    known = await self._rebuild(shard)
                self._epochs[shard] = known
        return known

    async def check(self, shard: int) -> None:
        """Notices that the store was lost, and has it rebuilt. Raises StoreUnavailable."""
        known = self._epochs.get(shard)
        if known is None or await self._live_states.epoch(shard) != known:
            if self._epochs.get(shard) == known:
                self.drop(shard)
            await self.epoch(shard)

    async def give_up(self, shard: int) -> None:
        """What the store holds of the shard cannot be read: it is lost, and rebuilt by who asks for its epoch next.
        Raises StoreUnavailable."""
        known = self._epochs.get(shard) or await self._live_states.epoch(shard)
        self.drop(shard)
        if known is not None:
            await self._live_states.give_up(shard, known)

    def drop(self, shard: int) -> None:
        """Forgets everything about the shard: it is another's now, or its store was lost."""
        self.cache.drop(shard)
        self._epochs.pop(shard, None)

    async def _write(self, prepared: Prepared) -> frozenset[DeviceId]:
        known = self._epochs
        parts = prepared.parts
        if not parts or any(known.get(part.shard) != part.epoch for part in parts):
            parts = [
                ShardSteps(shard, known.get(shard) or await self.epoch(shard), part)
                for shard, part in _by_shard(prepared.steps).items()
            ]
        return await self._live_states.advance(parts)

    async def _load(self, by_shard: Mapping[int, Sequence[DeviceId]]) -> Mapping[DeviceId, LiveState]:
        try:
            return await self._live_states.load(by_shard)
        except StatesUnreadable as error:
            # Or the same batch would meet the same value for ever.
            for shard in error.shards:
                await self.give_up(shard)
            raise

    async def _recover(self, shards: Iterable[int]) -> None:
        """A store that lost one shard has most likely lost all: they are looked at together, not round by round."""
        for shard in shards:
            await self.check(shard)

    async def _read_again(self, remaining: Mapping[DeviceId, Held]) -> None:
        self._counters.states_mismatched(len(remaining))
        by_shard: dict[int, list[DeviceId]] = {}
        for device_id, one in remaining.items():
            by_shard.setdefault(one.shard, []).append(device_id)
        for shard in by_shard:
            # Before reading: a lost shard has to be rebuilt, or it would read as never heard of.
            await self.epoch(shard)
        loaded = await self._load(by_shard)
        for device_id, one in remaining.items():
            one.cached.learn(loaded.get(device_id))
            self.cache.put(one.shard, device_id, one.cached)

    def _trouble(self, remaining: Mapping[DeviceId, Held]) -> LaneTrouble:
        shards = frozenset(one.shard for one in remaining.values())
        for shard in shards:
            self.drop(shard)
        return LaneTrouble(shards)


def steps_of(held: Mapping[DeviceId, Held]) -> list[tuple[int, Step]]:
    """What the held devices propose to the states that are cached now, as (shard, step)."""
    steps: list[tuple[int, Step]] = []
    for device_id, one in held.items():
        state = one.cached.state
        advanced = one.propose(state)
        if advanced is not None:
            revision = 0 if state is None else state.revision
            steps.append((one.shard, Step(device_id, revision, advanced.after, advanced.announce)))
    return steps


def _by_shard(steps: Sequence[tuple[int, Step]]) -> Mapping[int, list[Step]]:
    by_shard: defaultdict[int, list[Step]] = defaultdict(list)
    for shard, step in steps:
        by_shard[shard].append(step)
    return by_shard


def unsaved(cached: Iterable[CachedState]) -> Iterable[CachedState]:
    """Those whose newest state `last_report` does not hold yet."""
    return (one for one in cached if one.state is not None and one.state.revision != one.saved_revision)
