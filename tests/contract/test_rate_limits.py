"""A bucket gives what it holds, refills with time, and takes from all or from none: in memory and in Redis."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from gateway.ports import StoreUnavailable
from gateway.rates import Bucket, LocalRateLimits, RateLimits
from gateway.stores.rate_limits import RedisRateLimits
from gateway.stores.redis_link import RedisLink
from tests.support.waiting import until_async


@pytest.fixture(params=["memory", "redis"])
async def limits(request: pytest.FixtureRequest) -> AsyncIterator[RateLimits]:
    if request.param == "memory":
        yield LocalRateLimits(time.monotonic)
        return
    link = RedisLink(request.getfixturevalue("redis_url"), name="limits")
    yield RedisRateLimits(link)
    await link.close()


def bucket(name: str, capacity: float = 3, per_s: float = 0.001) -> Bucket:
    return Bucket(name, capacity, per_s)


async def test_a_bucket_gives_what_it_holds_and_then_says_how_long(limits: RateLimits) -> None:
    waits = [await limits.take([bucket("one")]) for _ in range(5)]
    assert waits[:3] == [0, 0, 0]
    assert all(900_000 < wait <= 1_000_001 for wait in waits[3:])
    assert await limits.take([bucket("another")]) == 0


async def test_all_or_none(limits: RateLimits) -> None:
    for _ in range(3):
        assert await limits.take([bucket("a")]) == 0
    assert await limits.take([bucket("a"), bucket("b")]) > 0
    assert [await limits.take([bucket("b")]) > 0 for _ in range(4)] == [False, False, False, True]


async def test_it_refills_with_time(limits: RateLimits) -> None:
    fast = bucket("fast", 2, 20.0)
    assert [await limits.take([fast]), await limits.take([fast])] == [0, 0]
    given: list[int] = []

    async def again() -> bool:
        given.append(await limits.take([fast]))
        return given[-1] == 0

    asked: Callable[[], bool | Awaitable[bool | None] | None] = again
    await until_async(asked)


async def test_all_who_ask_at_once_get_no_more_than_it_holds(limits: RateLimits) -> None:
    waits = await asyncio.gather(*(limits.take([bucket("crowd", 10)]) for _ in range(50)))
    assert waits.count(0) == 10


async def test_scripts_that_redis_forgot_are_loaded_again(redis_url: str) -> None:
    link = RedisLink(redis_url, name="limits")
    limits = RedisRateLimits(link)
    assert await limits.take([bucket("x")]) == 0
    await link.execute([("SCRIPT", "FLUSH")])
    assert await limits.take([bucket("x")]) == 0
    await link.close()


async def test_without_redis_it_says_so() -> None:
    limits = RedisRateLimits(RedisLink("redis://127.0.0.1:1/0", name="limits"))
    with pytest.raises(StoreUnavailable):
        await limits.take([bucket("x")])


async def test_redis_forgets_full_buckets(redis_url: str) -> None:
    link = RedisLink(redis_url, name="limits")
    await RedisRateLimits(link).take([bucket("short", 1, 10.0)])
    (left_ms,) = await link.execute([("PTTL", "lk:rate:short")])
    await link.close()
    assert isinstance(left_ms, int)
    assert 0 < left_ms <= 1_100
