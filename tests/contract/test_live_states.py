"""Live states: one suite for Redis and for the fake."""

from collections.abc import AsyncIterator

import pytest
import redis

from firmware_protocol.messages import DeviceId
from gateway.ports import FeedEpochLost, LiveStates, ShardSteps, Step, StoreUnavailable
from gateway.stores.change_feed import RedisChangeFeed
from gateway.stores.live_states import RedisLiveStates, pack_state, unpack_state
from gateway.stores.redis_link import RedisLink
from tests.support.fakes.live_states import FakeLiveStates
from tests.support.fakes.samples import state

A, B, C = DeviceId("bike-a"), DeviceId("bike-b"), DeviceId("bike-c")


def first(device_id: DeviceId, *, announce: bool = True) -> Step:
    return Step(device_id, 0, state(device_id, 1), announce)


@pytest.fixture(params=["fake", "redis"])
async def live_states(request: pytest.FixtureRequest) -> AsyncIterator[LiveStates]:
    if request.param == "fake":
        yield FakeLiveStates()
        return
    link = RedisLink(request.getfixturevalue("redis_url"), name="test")
    yield RedisLiveStates(link)
    await link.close()


@pytest.fixture
async def link(redis_url: str) -> AsyncIterator[RedisLink]:
    link = RedisLink(redis_url, name="test")
    yield link
    await link.close()


async def test_a_shard_has_no_epoch_until_it_is_rebuilt(live_states: LiveStates) -> None:
    assert await live_states.epoch(7) is None
    await live_states.rebuild(7, "first", {})
    assert await live_states.epoch(7) == "first"
    assert await live_states.epoch(8) is None


async def test_nothing_is_written_without_the_expected_epoch(live_states: LiveStates) -> None:
    with pytest.raises(FeedEpochLost) as lost:
        await live_states.advance([ShardSteps(7, "first", [first(A)])])
    assert lost.value.shard == 7
    await live_states.rebuild(7, "second", {})
    with pytest.raises(FeedEpochLost):
        await live_states.advance([ShardSteps(7, "first", [first(A)])])
    assert await live_states.load({7: [A]}) == {}


async def test_what_was_advanced_is_loaded_and_absent_devices_are_missing(live_states: LiveStates) -> None:
    await live_states.rebuild(7, "e", {})
    await live_states.rebuild(8, "e", {})
    shards = [ShardSteps(7, "e", [first(A), first(B)]), ShardSteps(8, "e", [first(C, announce=False)])]
    assert await live_states.advance(shards) == frozenset()
    assert await live_states.load({7: [A, DeviceId("nobody")], 8: [C]}) == {A: state(A, 1), C: state(C, 1)}


async def test_what_was_packed_ahead_comes_to_the_same(live_states: LiveStates) -> None:
    await live_states.rebuild(7, "e", {A: state(A, 5)})
    part = live_states.pack(ShardSteps(7, "e", [first(B), Step(A, 4, state(A, 50), True)]))
    assert await live_states.advance([part, ShardSteps(7, "e", [first(C)])]) == {A}
    assert await live_states.load({7: [A, B, C]}) == {A: state(A, 5), B: state(B, 1), C: state(C, 1)}
    with pytest.raises(FeedEpochLost):
        await live_states.advance([live_states.pack(ShardSteps(7, "another", [first(B)]))])


async def test_a_step_from_another_revision_changes_nothing_and_the_others_go_on(
    live_states: LiveStates,
) -> None:
    await live_states.rebuild(7, "e", {A: state(A, 5)})
    stale = Step(A, 4, state(A, 50), True)
    unheard = Step(B, 3, state(B, 4), True)
    assert await live_states.advance([ShardSteps(7, "e", [stale, first(C), unheard])]) == {A, B}
    assert await live_states.load({7: [A, B, C]}) == {A: state(A, 5), C: state(C, 1)}
    assert await live_states.advance([ShardSteps(7, "e", [Step(A, 5, state(A, 6), True)])]) == frozenset()


async def test_a_rebuild_replaces_everything_of_its_shard_only(live_states: LiveStates) -> None:
    await live_states.rebuild(7, "old", {A: state(A, 1), B: state(B, 1)})
    await live_states.rebuild(8, "old", {C: state(C, 1)})
    await live_states.give_up(7, "old")
    await live_states.rebuild(7, "new", {A: state(A, 9)})
    assert await live_states.load({7: [A, B], 8: [C]}) == {A: state(A, 9), C: state(C, 1)}
    assert [await live_states.epoch(7), await live_states.epoch(8)] == ["new", "old"]


async def test_an_epoch_that_is_given_up_is_lost_and_another_is_not(live_states: LiveStates) -> None:
    await live_states.rebuild(7, "e", {A: state(A, 1)})
    await live_states.give_up(7, "before")
    assert await live_states.epoch(7) == "e"
    await live_states.give_up(7, "e")
    assert await live_states.epoch(7) is None
    with pytest.raises(FeedEpochLost):
        await live_states.advance([ShardSteps(7, "e", [Step(A, 1, state(A, 2), True)])])


async def test_a_late_rebuild_by_the_owner_before_leaves_the_shard_as_it_is(live_states: LiveStates) -> None:
    """It found the shard lost and read PostgreSQL for long; another owner rebuilt the shard and went on."""
    await live_states.rebuild(7, "of the owner", {A: state(A, 5)})
    await live_states.advance([ShardSteps(7, "of the owner", [Step(A, 5, state(A, 6), True)])])
    for read in ({A: state(A, 5)}, {}):
        with pytest.raises(StoreUnavailable):
            await live_states.rebuild(7, "late", read)
    assert await live_states.load({7: [A]}) == {A: state(A, 6)}
    assert await live_states.epoch(7) == "of the owner"


async def test_a_walk_gives_every_state(live_states: LiveStates) -> None:
    devices = [DeviceId(f"bike-{number}") for number in range(1_300)]
    await live_states.rebuild(7, "e", {device_id: state(device_id, 1) for device_id in devices})
    seen: set[DeviceId] = set()
    cursor = 0
    while True:
        page = await live_states.page(7, cursor)
        assert all(found == state(device_id, 1) for device_id, found in page.states.items())
        seen |= page.states.keys()
        if not (cursor := page.cursor):
            break
    assert seen == set(devices)


async def test_batches_larger_than_a_slice_of_the_script_are_one_step(live_states: LiveStates) -> None:
    await live_states.rebuild(7, "e", {DeviceId("bike-700"): state(DeviceId("bike-700"), 3)})
    devices = [DeviceId(f"bike-{number}") for number in range(1_100)]
    mismatched = await live_states.advance([ShardSteps(7, "e", [first(device_id) for device_id in devices])])
    assert mismatched == {DeviceId("bike-700")}
    assert len(await live_states.load({7: devices})) == 1_100


async def test_a_state_survives_packing() -> None:
    one = state(A, 2**40)
    assert unpack_state(pack_state(one)) == one
    with pytest.raises(StoreUnavailable):
        unpack_state(b"12345678not msgpack")


async def test_data_restored_on_another_server_life_is_not_trusted(redis_url: str, link: RedisLink) -> None:
    live_states = RedisLiveStates(link)
    await live_states.rebuild(7, "e", {A: state(A, 1)})
    with redis.Redis.from_url(redis_url) as client:
        client.set("lk:{07}:run", "another life")
    assert await live_states.epoch(7) is None


async def test_an_epoch_of_an_earlier_server_life_is_not_written_to(link: RedisLink) -> None:
    live_states = RedisLiveStates(link)
    await live_states.rebuild(7, "e", {})
    link.run_id = "another life"
    with pytest.raises(FeedEpochLost):
        await live_states.advance([ShardSteps(7, "e", [first(A)])])


async def test_a_forgotten_script_is_loaded_again(redis_url: str, link: RedisLink) -> None:
    live_states = RedisLiveStates(link)
    await live_states.rebuild(7, "e", {})
    await live_states.rebuild(8, "e", {})
    with redis.Redis.from_url(redis_url) as client:
        client.script_flush()
    shards = [live_states.pack(ShardSteps(7, "e", [first(A)])), ShardSteps(8, "e", [first(B)])]
    assert await live_states.advance(shards) == frozenset()
    assert (await RedisChangeFeed(link).position(7)).counter == 1


async def test_a_server_that_refuses_to_write_is_unavailable(redis_url: str, link: RedisLink) -> None:
    live_states = RedisLiveStates(link)
    await live_states.rebuild(7, "e", {})
    with redis.Redis.from_url(redis_url) as client:
        client.config_set("maxmemory", "1")
        try:
            with pytest.raises(StoreUnavailable):
                await live_states.advance([ShardSteps(7, "e", [first(A)])])
        finally:
            client.config_set("maxmemory", "0")
    assert await live_states.advance([ShardSteps(7, "e", [first(A)])]) == frozenset()


async def test_the_feed_keeps_what_the_filling_of_a_view_may_take(redis_url: str, link: RedisLink) -> None:
    live_states = RedisLiveStates(link)
    with redis.Redis.from_url(redis_url) as client:
        now_ms = client.time()[0] * 1000
        for number in range(2_000):
            client.xadd("lk:{07}:feed", {"n": number}, id=f"{now_ms - 500_000 + number}-0")
        client.xadd("lk:{07}:feed", {"n": 0}, id=f"{now_ms - 100_000}-0")
        await live_states.rebuild(7, "e", {})
        await live_states.advance([ShardSteps(7, "e", [first(A)])])
        assert 3 <= client.xlen("lk:{07}:feed") < 200
