"""A real Redis that loses everything under running flows."""

import random
from collections.abc import AsyncIterator, Sequence

import pytest
import redis
from msgspec import structs

from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import SHARDS, shard_of
from gateway.core.live_state import LiveState
from gateway.ports import LiveStates, StoreUnavailable
from gateway.stores.live_states import REBUILD_CHUNK, RedisLiveStates
from gateway.stores.redis_link import Command, RedisLink, Reply
from tests.support.fakes.gateway import FakeGateway
from tests.support.fakes.samples import arrived, bike_report, state

NAMES = [f"bike-{number}" for number in range(40)]


@pytest.fixture
async def link(redis_url: str) -> AsyncIterator[RedisLink]:
    link = RedisLink(redis_url, name="test")
    yield link
    await link.close()


@pytest.fixture
def live_states(link: RedisLink) -> RedisLiveStates:
    return RedisLiveStates(link)


async def test_a_redis_flushed_in_the_middle_of_a_rebuild_holds_no_half_of_the_shard(
    redis_url: str, link: RedisLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    live_states, execute, fillings = RedisLiveStates(link), link.execute, 0
    names = [DeviceId(f"bike-{number}") for number in range(2 * REBUILD_CHUNK + 200)]

    async def flushing(commands: Sequence[Command], *, extra_s: float = 0.0) -> list[Reply]:
        nonlocal fillings
        answer = await execute(commands, extra_s=extra_s)
        fillings += commands[0][0] == "HSET"
        if fillings == 2:
            with redis.Redis.from_url(redis_url) as client:
                client.flushall()
        return answer

    monkeypatch.setattr(link, "execute", flushing)
    with pytest.raises(StoreUnavailable):
        await live_states.rebuild(7, "e", {name: state(name, 5) for name in names})
    monkeypatch.undo()
    assert await live_states.epoch(7) is None
    with redis.Redis.from_url(redis_url) as client:
        assert client.keys() == []


def garble(redis_url: str, device_id: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.hset(f"lk:{{{shard_of(DeviceId(device_id)):02x}}}:live", device_id, b"\0" * 8 + b"junk")


async def test_a_value_that_cannot_be_read_is_rebuilt_and_stops_no_report(
    redis_url: str, live_states: RedisLiveStates
) -> None:
    gateway = FakeGateway(live_states)
    bikes = gateway.register(["bike-a", "bike-b"])
    await gateway.take(*(arrived(bike.device_id, bike_report(1)) for bike in bikes))
    garble(redis_url, "bike-a")
    gateway.restart()
    again = [arrived(bike.device_id, bike_report(2)) for bike in bikes]
    with pytest.raises(StoreUnavailable):
        await gateway.take(*again)
    await gateway.take(*again)
    found = [await gateway.state(bike) for bike in bikes]
    assert [one.seq for one in found if one is not None] == [2, 2]
    assert gateway.counters.counts["rebuilds"] == len({shard_of(bike.device_id) for bike in bikes}) + 1


async def test_a_value_that_cannot_be_read_does_not_keep_a_lane_shut(
    redis_url: str, live_states: RedisLiveStates
) -> None:
    gateway = FakeGateway(live_states)
    (bike,) = gateway.register(["bike-a"])
    await gateway.take(arrived(bike.device_id, bike_report(1)))
    garble(redis_url, "bike-a")
    gateway.restart()
    shard = shard_of(bike.device_id)
    await gateway.beliefs.epoch(shard)
    with pytest.raises(StoreUnavailable):
        await gateway.sweep.take_over(shard)
    await gateway.beliefs.epoch(shard)
    await gateway.sweep.take_over(shard)
    assert gateway.wheel.is_watched(shard, bike.device_id)


async def everything(live_states: LiveStates) -> dict[DeviceId, LiveState]:
    """All states, without how many changes they took."""
    found: dict[DeviceId, LiveState] = {}
    for shard in range(SHARDS):
        cursor = 0
        while True:
            page = await live_states.page(shard, cursor)
            found.update({d: structs.replace(state, revision=0) for d, state in page.states.items()})
            if not (cursor := page.cursor):
                break
    return found


async def test_a_flushed_redis_ends_as_one_that_never_was(
    redis_url: str, live_states: RedisLiveStates
) -> None:
    chance = random.Random(7)
    troubled, calm = FakeGateway(live_states), FakeGateway()
    for gateway in (troubled, calm):
        gateway.register(NAMES)
    with redis.Redis.from_url(redis_url) as client:
        for seq in range(1, 13):
            batch = [
                arrived(DeviceId(name), bike_report(seq, lat_e7=chance.choice([0, 300, 9_000])))
                for name in chance.sample(NAMES, k=20)
            ]
            if seq % 3 == 0:
                client.flushall()
            for gateway in (troubled, calm):
                await gateway.take(*batch)
        client.flushall()
    for shard in range(SHARDS):
        await troubled.beliefs.check(shard)
    assert await everything(live_states) == await everything(calm.live_states)
    assert troubled.counters.counts["rebuilds"] >= 4 * SHARDS
    assert len(troubled.acknowledged()) == 12 * 20
