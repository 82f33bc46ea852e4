"""While a shard is read whole, nobody else is held to be silent, and nothing half read reaches a map."""

from collections.abc import Mapping, Sequence

import pytest

from api.live.fleet_view import FleetView, Succession
from api.live.relay import SILENT_AFTER_S, FeedRelay
from firmware_protocol.messages import DeviceId
from gateway.core.feed import FeedPart, FeedPosition, FillPage
from gateway.core.live_state import LiveState, MapEntry, Presence
from tests.support.fakes import live_states as fakes
from tests.support.fakes.clock import FakeClock
from tests.support.fakes.live_states import FakeLiveStates
from tests.unit.api.live.entries import entry

SHARDS = 2
SLOW_MS = int(SILENT_AFTER_S * 1000) + 6_000


class Redis:
    """A fake store whose pages take time, and in which a shard is lost after a page and built again after the next."""

    def __init__(self, clock: FakeClock) -> None:
        self.store = FakeLiveStates()
        self.page_takes_ms = 0
        self.lose_shard_after_page = False
        self._clock = clock
        self._lost: dict[DeviceId, LiveState] | None = None

    async def begin(self, numbers: Sequence[int]) -> None:
        for shard in range(SHARDS):
            states = {DeviceId(f"d{n}"): _state(entry(n)) for n in numbers if n % SHARDS == shard}
            await self.store.rebuild(shard, f"epoch of {shard}", states)

    async def position(self, shard: int) -> FeedPosition:
        return await self.store.position(shard)

    async def fill(self, shard: int, cursor: int = 0) -> FillPage:
        self._clock.advance(ms=self.page_takes_ms)
        page = await self.store.fill(shard, cursor)
        if self._lost is not None:
            await self.store.rebuild(shard, "another epoch", self._lost)
            self._lost = None
        elif self.lose_shard_after_page:
            self.lose_shard_after_page = False
            self._lost = self.store._shards.pop(shard).states
        return page

    async def follow(self, positions: Mapping[int, FeedPosition], wait_ms: int) -> Sequence[FeedPart]:
        return await self.store.follow(positions, wait_ms)


def _state(after: MapEntry) -> LiveState:
    return LiveState(1, 0, 1, 1, 1, Presence.ONLINE, b"", (), (), after)


async def test_while_other_shards_are_filled_slowly_an_owner_is_not_silent() -> None:
    clock = FakeClock()
    redis = Redis(clock)
    await redis.begin([0, 1])
    relay = FeedRelay(redis, FleetView(), clock, shards=SHARDS, tell=lambda _: None)
    await relay.step()
    silent_before_ms = 4_000
    clock.advance(ms=silent_before_ms)
    redis.page_takes_ms = SLOW_MS
    # Shard 1 must be read again; shard 0 only waits for that.
    await redis.store.give_up(1, "epoch of 1")
    await redis.store.rebuild(1, "another epoch", {})
    await relay.step()
    assert relay.shards_missing == 1
    await relay.step()
    assert relay.fills == SHARDS + 1
    lags = [relay.is_stale]
    # What was excused is the fill, not what came before it and comes after.
    clock.advance(ms=int(SILENT_AFTER_S * 1000) - silent_before_ms - 1)
    await relay.step()
    lags.append(relay.is_stale)
    clock.advance(ms=2)
    await relay.step()
    lags.append(relay.is_stale)
    assert lags == [False, False, True]


async def test_the_first_of_many_slow_fills_does_not_make_its_owner_silent() -> None:
    clock = FakeClock()
    redis = Redis(clock)
    await redis.begin([0, 1])
    redis.page_takes_ms = SLOW_MS
    relay = FeedRelay(redis, FleetView(), clock, shards=SHARDS, tell=lambda _: None)
    await relay.step()
    lags = [relay.is_stale]
    clock.advance(ms=int(SILENT_AFTER_S * 1000) + 1)
    await relay.step()
    lags.append(relay.is_stale)
    assert lags == [False, True]


async def test_a_shard_that_is_lost_and_rebuilt_while_it_is_read_takes_no_device_off_a_map(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fakes, "PAGE_SIZE", 2)
    clock, view = FakeClock(), FleetView()
    redis = Redis(clock)
    await redis.begin([0, 1, 3, 5])
    told: list[Succession] = []
    relay = FeedRelay(redis, view, clock, shards=SHARDS, tell=told.extend)
    await relay.step()
    assert len(view) == len(told) == 4
    redis.store._shards[1].epoch = "another life of the same states"
    await relay.step()
    # Of the three devices of shard 1 this reads two; the third has gone, and is back under a new epoch.
    redis.lose_shard_after_page = True
    await relay.step()
    assert relay.shards_missing == 1
    lags = [relay.is_stale]
    await relay.step()
    lags.append(relay.is_stale)
    assert lags == [True, False]
    assert len(told) == 4, "a device vanished that was never gone"
