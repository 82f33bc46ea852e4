"""The reading side of the feed: one suite for Redis and for the fake."""

from collections.abc import AsyncIterator
from typing import Protocol

import pytest
import redis
from msgspec import structs

from firmware_protocol.messages import DeviceId
from gateway.core.feed import FeedEntry, FeedPosition
from gateway.feed_port import ChangeFeed
from gateway.ports import FeedEpochLost, FeedGap, LiveStates, ShardSteps, Step
from gateway.stores import live_states
from gateway.stores.change_feed import RedisChangeFeed
from gateway.stores.live_states import RedisLiveStates
from gateway.stores.redis_link import RedisLink
from tests.support.fakes.live_states import FakeLiveStates
from tests.support.fakes.samples import state

A, B = DeviceId("bike-a"), DeviceId("bike-b")


class Feed(Protocol):
    """Both ends, and the ways to lose something."""

    states: LiveStates
    feed: ChangeFeed

    def flush(self) -> None: ...
    def trim(self, shard: int) -> None: ...


class FakeFeed:
    def __init__(self) -> None:
        fake = FakeLiveStates()
        self.states: LiveStates = fake
        self.feed: ChangeFeed = fake
        self.flush = fake.flush
        self.trim = fake.trim


class RealFeed:
    def __init__(self, url: str) -> None:
        self.links = [RedisLink(url, name="writer"), RedisLink(url, name="reader")]
        self.states: LiveStates = RedisLiveStates(self.links[0])
        self.feed: ChangeFeed = RedisChangeFeed(self.links[1])
        self._url = url

    def flush(self) -> None:
        with redis.Redis.from_url(self._url) as client:
            client.flushall()

    def trim(self, shard: int) -> None:
        with redis.Redis.from_url(self._url) as client:
            client.xtrim(f"lk:{{{shard:02x}}}:feed", maxlen=0, approximate=False)


@pytest.fixture(params=["fake", "redis"])
async def ends(request: pytest.FixtureRequest) -> AsyncIterator[Feed]:
    if request.param == "fake":
        yield FakeFeed()
        return
    real = RealFeed(request.getfixturevalue("redis_url"))
    yield real
    for link in real.links:
        await link.close()


async def announce(
    ends: Feed, device_id: DeviceId, revision: int, *, shard: int = 7, aloud: bool = True
) -> None:
    step = Step(device_id, revision - 1, state(device_id, revision, lat_e7=revision), aloud)
    assert await ends.states.advance([ShardSteps(shard, "e", [step])]) == frozenset()


def said(device_id: DeviceId, revision: int) -> FeedEntry:
    return FeedEntry(device_id, revision, state(device_id, revision, lat_e7=revision).entry)


async def test_a_shard_nobody_began_has_no_position(ends: Feed) -> None:
    with pytest.raises(FeedEpochLost):
        await ends.feed.position(7)


async def test_changes_after_the_position_come_in_order_and_only_those_announced(ends: Feed) -> None:
    await ends.states.rebuild(7, "e", {})
    await ends.states.rebuild(8, "e", {})
    await announce(ends, A, 1)
    positions = {7: await ends.feed.position(7), 8: await ends.feed.position(8)}
    await announce(ends, A, 2)
    await announce(ends, A, 3, aloud=False)
    await announce(ends, B, 1)
    (part,) = await ends.feed.follow(positions, 1_000)
    assert (part.shard, part.entries) == (7, [said(A, 2), said(B, 1)])
    assert part.position.counter == positions[7].counter + 2
    assert await ends.feed.follow({7: part.position, 8: positions[8]}, 1) == []
    assert await ends.feed.position(7) == part.position


async def test_several_shards_are_followed_at_once(ends: Feed) -> None:
    for shard in (7, 8):
        await ends.states.rebuild(shard, "e", {})
    positions = {shard: await ends.feed.position(shard) for shard in (7, 8)}
    await announce(ends, A, 1, shard=7)
    await announce(ends, B, 1, shard=8)
    heard: dict[int, list[FeedEntry]] = {}
    while len(heard) < 2:
        for part in await ends.feed.follow(positions, 1_000):
            heard[part.shard] = list(part.entries)
            positions[part.shard] = part.position
    assert heard == {7: [said(A, 1)], 8: [said(B, 1)]}


async def test_a_device_that_leaves_the_map_is_announced_without_an_entry(ends: Feed) -> None:
    await ends.states.rebuild(7, "e", {})
    position = await ends.feed.position(7)
    await ends.states.advance([ShardSteps(7, "e", [Step(A, 0, state(A, 1, mapped=False), True)])])
    (part,) = await ends.feed.follow({7: position}, 1_000)
    assert part.entries == [FeedEntry(A, 1, None)]


async def test_a_batch_larger_than_fifteen_is_one_part(ends: Feed) -> None:
    await ends.states.rebuild(7, "e", {})
    position = await ends.feed.position(7)
    devices = [DeviceId(f"bike-{number:03}") for number in range(300)]
    steps = [Step(device_id, 0, state(device_id, 1), True) for device_id in devices]
    await ends.states.advance([ShardSteps(7, "e", steps)])
    (part,) = await ends.feed.follow({7: position}, 1_000)
    assert [entry.device_id for entry in part.entries] == devices
    assert part.position.counter == 300


async def test_a_trimmed_feed_is_a_gap_once_something_follows(ends: Feed) -> None:
    await ends.states.rebuild(7, "e", {})
    position = await ends.feed.position(7)
    await announce(ends, A, 1)
    ends.trim(7)
    await announce(ends, A, 2)
    with pytest.raises(FeedGap) as gap:
        await ends.feed.follow({7: position}, 1_000)
    assert gap.value.shards == {7}


async def test_a_rebuilt_shard_is_a_gap(ends: Feed) -> None:
    for shard in (7, 8):
        await ends.states.rebuild(shard, "e", {})
    positions = {shard: await ends.feed.position(shard) for shard in (7, 8)}
    await ends.states.give_up(7, "e")
    await ends.states.rebuild(7, "other", {A: state(A, 1)})
    with pytest.raises(FeedGap) as gap:
        await ends.feed.follow(positions, 1_000)
    assert gap.value.shards == {7}


async def test_a_lost_store_is_a_gap_even_when_nothing_is_said(ends: Feed) -> None:
    await ends.states.rebuild(7, "e", {})
    position = await ends.feed.position(7)
    ends.flush()
    with pytest.raises(FeedGap):
        await ends.feed.follow({7: position}, 1)


async def test_a_position_nobody_ever_had_is_a_gap(ends: Feed) -> None:
    await ends.states.rebuild(7, "e", {})
    position = structs.replace(await ends.feed.position(7), epoch="forged")
    with pytest.raises(FeedGap):
        await ends.feed.follow({7: position}, 1)


async def test_the_feed_replayed_over_a_fill_equals_the_states(ends: Feed) -> None:
    devices = [DeviceId(f"bike-{number:03}") for number in range(60)]
    await ends.states.rebuild(7, "e", {device_id: state(device_id, 1) for device_id in devices})
    position = await ends.feed.position(7)
    for device_id in devices[::2]:
        await announce(ends, device_id, 2)
    view: dict[DeviceId, FeedEntry] = {}
    cursor = 0
    while True:
        page = await ends.feed.fill(7, cursor)
        view.update({entry.device_id: entry for entry in page.entries})
        for device_id in devices[::3]:
            held = view.get(device_id)
            if held is not None and held.revision < 9:
                await announce(ends, device_id, held.revision + 1)
        if not (cursor := page.cursor):
            break
    await _replay(ends.feed, position, view)
    stored = await ends.states.load({7: devices})
    assert {d: entry.entry for d, entry in view.items()} == {d: one.entry for d, one in stored.items()}


async def _replay(feed: ChangeFeed, position: FeedPosition, view: dict[DeviceId, FeedEntry]) -> None:
    while parts := await feed.follow({7: position}, 1):
        position = parts[0].position
        for entry in parts[0].entries:
            held = view.get(entry.device_id)
            if held is None or entry.revision > held.revision:
                view[entry.device_id] = entry


async def test_a_beat_is_heard_and_changes_nothing(ends: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_states, "FEED_SILENT_MS", 0)
    await ends.states.rebuild(7, "e", {})
    await announce(ends, A, 1)
    before = await ends.feed.position(7)
    await ends.states.beat({7: "e"})
    (part,) = await ends.feed.follow({7: before}, 1)
    assert (part.shard, list(part.entries), part.position.counter) == (7, [], before.counter)
    assert part.position.stream_id != before.stream_id
    await announce(ends, B, 1)
    (part,) = await ends.feed.follow({7: part.position}, 1)
    assert list(part.entries) == [said(B, 1)]


async def test_a_beat_of_a_lost_epoch_is_refused(ends: Feed) -> None:
    await ends.states.rebuild(7, "e", {})
    with pytest.raises(FeedEpochLost):
        await ends.states.beat({7: "another"})


async def test_a_shard_that_spoke_lately_is_not_made_to_beat(redis_url: str) -> None:
    real = RealFeed(redis_url)
    await real.states.rebuild(7, "e", {})
    await real.states.beat({7: "e"})
    with redis.Redis.from_url(redis_url) as client:
        assert client.xlen("lk:{07}:feed") == 1
    for link in real.links:
        await link.close()
