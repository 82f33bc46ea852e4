"""Live states and their feed in memory."""

from collections.abc import Mapping, Sequence

from firmware_protocol.messages import DeviceId
from gateway.core.live_state import LiveState
from gateway.ports import (
    FeedEntry,
    FeedEpochLost,
    FeedGap,
    FeedPart,
    FeedPosition,
    FillPage,
    ShardSteps,
    StatePage,
    StoreUnavailable,
)
from tests.support.fakes.interruptions import Interruptions

PAGE_SIZE = 100


class _Shard:
    def __init__(self) -> None:
        self.epoch: str | None = None
        self.states: dict[DeviceId, LiveState] = {}
        self.feed: list[FeedEntry] = []
        self.trimmed = 0
        """Entries of this epoch that are not kept any more."""
        self.beats = 0

    @property
    def count(self) -> int:
        return self.trimmed + len(self.feed)

    @property
    def stream_id(self) -> str:
        return f"{self.count}-{self.beats}"


class FakeLiveStates:
    """Implements `ports.LiveStates` and `feed_port.ChangeFeed`."""

    def __init__(self, interruptions: Interruptions | None = None) -> None:
        self._shards: dict[int, _Shard] = {}
        self._interruptions = interruptions or Interruptions()

    def flush(self) -> None:
        """Everything is gone, as after a restart without persistence."""
        self._shards.clear()

    def trim(self, shard: int) -> None:
        """Forgets the whole feed of the shard so far."""
        one = self._shard(shard)
        one.trimmed, one.feed = one.count, []

    def all(self) -> dict[DeviceId, LiveState]:
        """What every shard holds, for a test to compare."""
        return {d: state for one in self._shards.values() for d, state in one.states.items()}

    def put(self, shard: int, device_id: DeviceId, state: LiveState) -> None:
        """What another writer would do."""
        self._shard(shard).states[device_id] = state

    async def epoch(self, shard: int) -> str | None:
        await self._interruptions.point("live_states.epoch")
        return self._shard(shard).epoch

    async def rebuild(self, shard: int, epoch: str, states: Mapping[DeviceId, LiveState]) -> None:
        await self._interruptions.point("live_states.rebuild")
        if self._shard(shard).epoch is not None:
            raise StoreUnavailable(f"shard {shard:02x} was rebuilt by another meanwhile")
        fresh = _Shard()
        fresh.epoch = epoch
        fresh.states = dict(states)
        self._shards[shard] = fresh
        await self._interruptions.point("live_states.rebuild:done")

    async def give_up(self, shard: int, epoch: str) -> None:
        await self._interruptions.point("live_states.give_up")
        if self._shard(shard).epoch == epoch:
            self._shard(shard).epoch = None

    async def load(self, by_shard: Mapping[int, Sequence[DeviceId]]) -> Mapping[DeviceId, LiveState]:
        await self._interruptions.point("live_states.load")
        return {
            device_id: self._shard(shard).states[device_id]
            for shard, device_ids in by_shard.items()
            for device_id in device_ids
            if device_id in self._shard(shard).states
        }

    async def page(self, shard: int, cursor: int = 0) -> StatePage:
        await self._interruptions.point("live_states.page")
        states = sorted(self._shard(shard).states.items())
        end = cursor + PAGE_SIZE
        return StatePage(end if end < len(states) else 0, dict(states[cursor:end]))

    def pack(self, part: ShardSteps) -> ShardSteps:
        return part

    async def advance(self, shards: Sequence[ShardSteps]) -> frozenset[DeviceId]:
        await self._interruptions.point("live_states.advance")
        mismatched: set[DeviceId] = set()
        lost: int | None = None
        for part in shards:
            one = self._shard(part.shard)
            if one.epoch != part.epoch:
                lost = part.shard if lost is None else lost
                continue
            mismatched.update(_advance_shard(one, part))
        if lost is not None:
            raise FeedEpochLost(lost)
        await self._interruptions.point("live_states.advance:done")
        return frozenset(mismatched)

    async def beat(self, epochs: Mapping[int, str]) -> None:
        """Speaks every time: no time passes here."""
        await self._interruptions.point("live_states.beat")
        for shard, epoch in epochs.items():
            if self._shard(shard).epoch != epoch:
                raise FeedEpochLost(shard)
            self._shard(shard).beats += 1

    async def position(self, shard: int) -> FeedPosition:
        one = self._shard(shard)
        if one.epoch is None:
            raise FeedEpochLost(shard)
        return FeedPosition(one.epoch, one.count, one.stream_id)

    async def fill(self, shard: int, cursor: int = 0) -> FillPage:
        page = await self.page(shard, cursor)
        entries = [FeedEntry(d, state.revision, state.entry) for d, state in page.states.items()]
        return FillPage(page.cursor, entries)

    async def follow(self, positions: Mapping[int, FeedPosition], wait_ms: int) -> Sequence[FeedPart]:
        """Never waits: what has not happened yet cannot happen meanwhile."""
        parts: list[FeedPart] = []
        gaps: set[int] = set()
        for shard, position in positions.items():
            one = self._shard(shard)
            if one.epoch != position.epoch or position.counter < one.trimmed:
                gaps.add(shard)
            elif one.stream_id != position.stream_id:
                here = FeedPosition(position.epoch, one.count, one.stream_id)
                parts.append(FeedPart(shard, here, one.feed[position.counter - one.trimmed :]))
        if gaps:
            raise FeedGap(frozenset(gaps))
        return parts

    def _shard(self, shard: int) -> _Shard:
        return self._shards.setdefault(shard, _Shard())


def _advance_shard(shard: _Shard, part: ShardSteps) -> set[DeviceId]:
    mismatched: set[DeviceId] = set()
    for step in part.steps:
        stored = shard.states.get(step.device_id)
        if (0 if stored is None else stored.revision) != step.before_revision:
            mismatched.add(step.device_id)
            continue
        shard.states[step.device_id] = step.after
        if step.announce:
            shard.feed.append(FeedEntry(step.device_id, step.after.revision, step.after.entry))
    return mismatched
