"""Devices by name from memory: the same as PostgreSQL has, as soon as a change was heard of."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.clock import SystemClock
from gateway.core.device import Status
from gateway.ports import StoreUnavailable
from gateway.stores import devices_at_hand
from gateway.stores.device_queries import PostgresDeviceQueries
from gateway.stores.devices_at_hand import DevicesAtHand
from gateway.stores.reading_pool import ReadingPool
from gateway.stores.registry import PostgresRegistry
from tests.support.fakes.clock import FakeClock
from tests.support.stored import ask, register
from tests.support.waiting import until_async


class CountedQueries(PostgresDeviceQueries):
    """Counts what was asked."""

    asked = 0

    async def find(self, name: str, *, operator_id: int | None = None):  # type: ignore[no-untyped-def]  # as its base
        self.asked += 1
        return await super().find(name, operator_id=operator_id)


@pytest.fixture
async def queries(database: str) -> AsyncIterator[CountedQueries]:
    register(database, *(f"bike-{n}" for n in range(3)))
    pool = ReadingPool(database)
    await pool.open()
    yield CountedQueries(database, pool)
    await pool.close()


@pytest.fixture
async def registry(database: str) -> PostgresRegistry:
    return PostgresRegistry(database, SystemClock())


@pytest.fixture
async def at_hand(queries: CountedQueries, registry: PostgresRegistry) -> AsyncIterator[DevicesAtHand]:
    made = DevicesAtHand(registry, queries, SystemClock())
    running = asyncio.create_task(made.run())
    await until_async(lambda: made.follows)
    yield made
    running.cancel()
    await asyncio.wait((running,))
    await made.close()


async def test_it_is_asked_for_once_by_each_name(at_hand: DevicesAtHand, queries: CountedQueries) -> None:
    found = await at_hand.find("bike-1", operator_id=1)
    assert found is not None
    for _ in range(3):
        assert await at_hand.find("bike-1", operator_id=1) == found
        assert await at_hand.find(found.record.public_id, operator_id=1) == found
    assert queries.asked == 2


async def test_another_operator_finds_nothing(at_hand: DevicesAtHand) -> None:
    assert await at_hand.find("bike-1", operator_id=1)
    assert await at_hand.find("bike-1", operator_id=2) is None
    assert await at_hand.find("nobody", operator_id=1) is None


async def test_a_change_is_heard(
    at_hand: DevicesAtHand, registry: PostgresRegistry, queries: CountedQueries, database: str
) -> None:
    before = await at_hand.find("bike-1", operator_id=1)
    assert before is not None
    ask(database, "update device set status = 3, public_id = 'p-new' where device_id = 'bike-1'")
    await registry.refresh()
    after = await at_hand.find("bike-1", operator_id=1)
    assert after is not None
    assert (after.record.status, after.record.public_id) == (Status.SUSPENDED, "p-new")
    assert await at_hand.find(before.record.public_id, operator_id=1) is None
    assert await at_hand.find("p-new", operator_id=1) == after


async def test_while_changes_are_not_heard_of_nothing_is_taken_from_memory(
    queries: CountedQueries, registry: PostgresRegistry
) -> None:
    made = DevicesAtHand(registry, queries, SystemClock())
    for _ in range(3):
        assert await made.find("bike-1", operator_id=1)
    assert queries.asked == 3
    await made.close()


async def test_what_was_heard_of_too_long_ago_is_not_trusted(queries: CountedQueries, database: str) -> None:
    clock = FakeClock()
    made = DevicesAtHand(PostgresRegistry(database, clock), queries, clock)
    running = asyncio.create_task(made.run())
    await until_async(lambda: made.follows)
    running.cancel()
    await asyncio.wait((running,))
    for _ in range(2):
        assert await made.find("bike-1", operator_id=1)
    clock.advance(ms=int(devices_at_hand.TRUSTED_S * 1000))
    assert await made.find("bike-1", operator_id=1)
    assert queries.asked == 2
    await made.close()


async def test_a_new_boot_is_found_out_once(
    at_hand: DevicesAtHand, queries: CountedQueries, database: str
) -> None:
    assert await at_hand.find("bike-1", operator_id=1)
    ask(database, "update device set boot = 1790000001 where device_id = 'bike-1'")
    at_hand.doubt("bike-1")
    for _ in range(3):
        found = await at_hand.find("bike-1", operator_id=1)
        assert found is not None
        assert found.record.boot == 1790000001
    assert queries.asked == 2


async def test_a_device_that_changed_hands_is_found_by_its_new_operator_at_once(
    at_hand: DevicesAtHand, database: str
) -> None:
    assert await at_hand.find("bike-1", operator_id=1)
    ask(database, "insert into operator (operator_id, name) values (2, 'two')")
    ask(database, "update device set operator_id = 2 where device_id = 'bike-1'")
    assert await at_hand.find("bike-1", operator_id=2)


async def test_it_begins_once_postgresql_is_there(
    queries: CountedQueries, registry: PostgresRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices_at_hand, "OPEN_AGAIN_S", 0.0)
    opening, tries = registry.open, []

    async def open_at_the_third_try() -> None:
        tries.append("once more")
        if len(tries) < 3:
            raise StoreUnavailable("not yet")
        await opening()

    monkeypatch.setattr(registry, "open", open_at_the_third_try)
    made = DevicesAtHand(registry, queries, SystemClock())
    running = asyncio.create_task(made.run())
    await until_async(lambda: made.follows)
    assert len(tries) == 3
    running.cancel()
    await asyncio.wait((running,))
    await made.close()
