"""The view equals Redis after any sequence of changes, gaps, failures and restarts."""

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from api.live.fleet_view import FleetView, Succession
from api.live.relay import SILENT_AFTER_S, STALE_AFTER_S, FeedRelay
from firmware_protocol.messages import DeviceId
from gateway.core.feed import FeedPart, FeedPosition, FillPage
from gateway.core.live_state import LiveState, MapEntry, Presence
from gateway.ports import ShardSteps, Step, StoreUnavailable
from tests.support.fakes import live_states as fakes
from tests.support.fakes.clock import FakeClock
from tests.support.fakes.live_states import FakeLiveStates
from tests.unit.api.live.entries import entries, entry

SHARDS = 2


class Redis:
    """A fake store with the deeds of gateways between any two calls of its reader."""

    def __init__(self, deeds: list[str | MapEntry | int]) -> None:
        self.store = FakeLiveStates()
        self.deeds = deeds
        self.epochs = 0
        self.turn = 0

    async def begin(self) -> None:
        for shard in range(SHARDS):
            await self._rebuild(shard)

    async def settle(self) -> None:
        while self.deeds:
            await self._next_deed()
        for shard in range(SHARDS):
            if await self.store.epoch(shard) is None:
                await self._rebuild(shard)

    def truth(self) -> dict[DeviceId, MapEntry]:
        return {d: state.entry for d, state in self.store.all().items() if state.entry is not None}

    async def position(self, shard: int) -> FeedPosition:
        await self._next_deed()
        return await self.store.position(shard)

    async def fill(self, shard: int, cursor: int = 0) -> FillPage:
        for _ in range(4):
            await self._next_deed()
        return await self.store.fill(shard, cursor)

    async def follow(self, positions: Mapping[int, FeedPosition], wait_ms: int) -> Sequence[FeedPart]:
        await self._next_deed()
        return await self.store.follow(positions, wait_ms)

    async def _next_deed(self) -> None:
        if not self.deeds:
            return
        match self.deeds.pop(0):
            case MapEntry() as after:
                self.turn += 1
                await self._advance(after.device_id, replace(after, at_ms=self.turn))
            case int() as number:
                await self._advance(DeviceId(f"d{number}"), None)
            case "trim":
                self.store.trim(0)
            case "flush":
                self.store.flush()
            case "rebuild":
                await self._rebuild(1)
            case "fail":
                raise StoreUnavailable("no answer")

    async def _advance(self, device_id: DeviceId, after: MapEntry | None) -> None:
        shard = int(device_id[1:]) % SHARDS
        epoch = await self.store.epoch(shard)
        if epoch is None:
            return
        before = (await self.store.load({shard: [device_id]})).get(device_id)
        revision = 0 if before is None else before.revision
        step = Step(device_id, revision, _state(revision + 1, after), True)
        await self.store.advance([ShardSteps(shard, epoch, [step])])

    async def _rebuild(self, shard: int) -> None:
        # Rebuilt from rows that may be a minute old: fewer devices, lower revisions.
        self.epochs += 1
        kept = {d: s for d, s in self.store.all().items() if int(d[1:]) % SHARDS == shard and s.revision % 3}
        older = {d: _state(1, s.entry) for d, s in kept.items()}
        if (standing := await self.store.epoch(shard)) is not None:
            await self.store.give_up(shard, standing)
        await self.store.rebuild(shard, f"e{self.epochs}", older)


def _state(revision: int, after: MapEntry | None) -> LiveState:
    return LiveState(revision, 0, revision, 1, 1, Presence.ONLINE, b"", (), (), after)


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fakes, "PAGE_SIZE", 2)


deeds = st.lists(
    st.one_of(
        entries(numbers=3),
        entries(numbers=3),
        st.integers(0, 2),
        st.sampled_from(["trim", "flush", "rebuild", "fail", "nothing"]),
    ),
    max_size=60,
)


@given(st.lists(entries(numbers=3), max_size=12), deeds)
async def test_the_view_and_whoever_hears_of_its_changes_end_as_redis(
    fleet: list[MapEntry], deeds: list[str | MapEntry | int]
) -> None:
    redis = Redis([*fleet])
    await redis.begin()
    await redis.settle()
    redis.deeds = list(deeds)
    heard: dict[DeviceId, MapEntry] = {}

    def tell(changes: Sequence[Succession]) -> None:
        for change in changes:
            if change.before is not None:
                assert heard.pop(change.before.device_id) == change.before
            if change.before is not None and change.after is not None:
                assert change.after.at_ms > change.before.at_ms, "an older value after a newer"
            if change.after is not None:
                heard[change.after.device_id] = change.after

    view = FleetView()
    relay = FeedRelay(redis, view, FakeClock(), shards=SHARDS, tell=tell)
    while redis.deeds:
        await relay.step()
    await redis.settle()
    for _ in range(4):
        await relay.step()
    assert not relay.is_stale
    assert relay.trouble == ""
    assert {one.device_id: one for one in view} == redis.truth() == heard


async def test_a_feed_out_of_reach_makes_the_view_stale_and_keeps_it() -> None:
    clock, view = FakeClock(), FleetView()
    redis = Redis([entry(1)])
    await redis.begin()
    await redis.settle()
    told: list[int] = []
    relay = FeedRelay(redis, view, clock, shards=SHARDS, tell=lambda changes: told.append(len(changes)))
    lags = [relay.is_stale]
    await relay.step()
    lags.append(relay.is_stale)
    clock.advance(ms=int(STALE_AFTER_S * 1000) + 1)
    redis.deeds = ["fail"]
    assert await relay.step() > 0
    lags.append(relay.is_stale)
    assert "out of reach" in relay.trouble
    assert len(view) == 1
    assert await relay.step() == 0
    lags.append(relay.is_stale)
    assert lags == [True, False, True, False]
    assert relay.fills == SHARDS
    # Told when it first lived, when it was lost by time between two steps, and when it was back.
    assert told.count(0) == 3


async def test_a_shard_whose_owner_is_silent_makes_the_view_stale_until_it_speaks() -> None:
    clock, redis = FakeClock(), Redis([entry(1)])
    await redis.begin()
    await redis.settle()
    told: list[int] = []
    relay = FeedRelay(
        redis, FleetView(), clock, shards=SHARDS, tell=lambda changes: told.append(len(changes))
    )
    await relay.step()
    clock.advance(ms=int(SILENT_AFTER_S * 1000) - 1)
    await redis.store.beat({1: "e2"})
    await relay.step()
    lags = [relay.is_stale]
    clock.advance(ms=2)
    await relay.step()
    lags.append(relay.is_stale)
    assert relay.trouble == "no gateway speaks for shards 00"
    await redis.store.beat({0: "e1"})
    await relay.step()
    lags.append(relay.is_stale)
    assert relay.trouble == ""
    assert lags == [False, True, False]
    # Told when it first lived, when shard 00 fell silent, and when it spoke again: nothing else changed.
    assert told.count(0) == 3


async def test_a_change_is_a_word_of_its_owner_too() -> None:
    clock, redis = FakeClock(), Redis([])
    await redis.begin()
    relay = FeedRelay(redis, FleetView(), clock, shards=SHARDS, tell=lambda _: None)
    await relay.step()
    clock.advance(ms=int(SILENT_AFTER_S * 1000) - 1)
    redis.deeds = [entry(0), entry(1)]
    await redis.settle()
    await relay.step()
    clock.advance(ms=2)
    await relay.step()
    assert not relay.is_stale


async def test_a_shard_that_nobody_has_begun_is_waited_for_while_the_others_are_followed() -> None:
    redis = Redis([])
    await redis.begin()
    redis.deeds = [entry(1)]
    await redis.settle()
    redis.store._shards.pop(0)
    view = FleetView()
    relay = FeedRelay(redis, view, FakeClock(), shards=SHARDS, tell=lambda _: None)
    await relay.step()
    assert relay.shards_missing == 1
    assert relay.is_stale
    assert len(view) == 1
