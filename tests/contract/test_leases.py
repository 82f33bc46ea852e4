"""One owner per lane: the same name at once, another only after expiry."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest

from gateway.stores.leases import PostgresLeases
from tests.support.stored import ask
from tests.support.waiting import until_async

LANES = range(16)
EXPIRE = "update lease set expires_at = clock_timestamp() - interval '1 second'"


@pytest.fixture
async def leases(database: str) -> AsyncIterator[PostgresLeases]:
    store = PostgresLeases(database)
    yield store
    await store.close()


async def test_free_lanes_are_taken(leases: PostgresLeases) -> None:
    assert await leases.take("a", LANES) == dict.fromkeys(LANES, 1)


async def test_another_name_gets_nothing_until_expiry(leases: PostgresLeases, database: str) -> None:
    await leases.take("a", LANES)
    assert await leases.take("b", LANES) == {}
    ask(database, EXPIRE)
    assert await leases.take("b", [3]) == {3: 2}


async def test_the_same_name_retakes_at_once_under_a_new_number(leases: PostgresLeases) -> None:
    first = await leases.take("a", [7])
    second = await leases.take("a", [7])
    assert second[7] > first[7]
    assert await leases.renew("a", first) == frozenset()
    assert await leases.renew("a", second) == {7}


async def test_a_renewed_lane_stays_and_a_lost_one_is_not_said_to_be_ours(
    leases: PostgresLeases, database: str
) -> None:
    held = dict(await leases.take("a", [1, 2]))
    ask(database, EXPIRE + " where lane = '01'")
    assert await leases.take("b", [1, 2]) == {1: 2}
    assert await leases.renew("a", held) == {2}
    assert await leases.renew("a", {}) == frozenset()


async def test_a_lane_that_expired_and_that_nobody_took_is_still_ours(
    leases: PostgresLeases, database: str
) -> None:
    held = await leases.take("a", [1])
    ask(database, EXPIRE)
    assert await leases.renew("a", held) == {1}
    assert await leases.take("b", [1]) == {}


async def test_a_released_lane_is_free_at_once(leases: PostgresLeases) -> None:
    held = await leases.take("a", [1, 2])
    await leases.release("a", {1: held[1]})
    assert await leases.take("b", [1, 2]) == {1: 2}
    await leases.release("a", {})


async def test_a_release_under_an_old_number_frees_nothing(leases: PostgresLeases) -> None:
    old = await leases.take("a", [1])
    await leases.take("a", [1])
    await leases.release("a", old)
    assert await leases.take("b", [1]) == {}


async def test_a_lease_runs_out_by_itself(database: str) -> None:
    short = PostgresLeases(database, lease_s=0.3)
    await short.take("a", [1])
    taken: Mapping[int, int] | None = await until_async(lambda: short.take("b", [1]))
    assert taken == {1: 2}
    await short.close()


async def test_of_many_that_want_a_lane_one_gets_it(database: str) -> None:
    stores = [PostgresLeases(database) for _ in range(8)]
    taken = await asyncio.gather(*(store.take(f"gateway-{n}", LANES) for n, store in enumerate(stores)))
    assert sorted(lane for held in taken for lane in held) == list(LANES)
    for store in stores:
        await store.close()
