"""A real Redis that loses everything under running flows."""

import random
from collections.abc import AsyncIterator

import pytest
import redis
from msgspec import structs

from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import SHARDS
from gateway.core.live_state import LiveState
from gateway.ports import LiveStates
from gateway.stores.live_states import RedisLiveStates
from gateway.stores.redis_link import RedisLink
from tests.support.fakes.gateway import FakeGateway
from tests.support.fakes.samples import arrived, bike_report

NAMES = [f"bike-{number}" for number in range(40)]


@pytest.fixture
async def live_states(redis_url: str) -> AsyncIterator[RedisLiveStates]:
    link = RedisLink(redis_url, name="test")
    yield RedisLiveStates(link)
    await link.close()


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
