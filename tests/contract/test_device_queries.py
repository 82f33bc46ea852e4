"""Devices are found by each of their names and listed in order."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.stores.device_queries import PostgresDeviceQueries
from gateway.stores.reading_pool import ReadingPool
from tests.support.stored import BIKE, CABINET, ask, register


@pytest.fixture
async def queries(database: str) -> AsyncIterator[PostgresDeviceQueries]:
    register(database, *(f"bike-{n}" for n in range(7)))
    register(database, "cabinet-0", model=CABINET)
    pool = ReadingPool(database)
    opened = PostgresDeviceQueries(database, pool)
    await pool.open()
    yield opened
    await opened.close()
    await pool.close()


async def test_a_device_is_found_by_its_id_and_by_its_public_id(
    queries: PostgresDeviceQueries, database: str
) -> None:
    found = await queries.find("bike-3")
    assert found is not None
    assert (found.record.device_id, found.model) == ("bike-3", BIKE)
    assert await queries.find(found.record.public_id) == found
    cabinet = await queries.find("cabinet-0")
    assert cabinet is not None
    assert cabinet.model == CABINET
    assert await queries.find("nobody") is None


async def test_a_public_id_never_hides_a_device_of_that_name(
    queries: PostgresDeviceQueries, database: str
) -> None:
    ask(database, "update device set public_id = 'bike-3' where device_id = 'bike-5'")
    found = await queries.find("bike-3")
    assert found is not None
    assert found.record.device_id == "bike-3"


async def test_those_asked_for_together_are_told_apart_and_by_operator(
    queries: PostgresDeviceQueries,
) -> None:
    names = [f"bike-{n % 9}" for n in range(20)]
    found = await asyncio.gather(*(queries.find(name) for name in names))
    assert [known and known.record.device_id for known in found] == [
        name if name < "bike-7" else None for name in names
    ]
    assert await queries.find("bike-1", operator_id=1) is not None
    assert await queries.find("bike-1", operator_id=2) is None


@pytest.mark.parametrize("limit", [1, 3, 8, 100])
async def test_pages_of_any_size_list_every_device_once(queries: PostgresDeviceQueries, limit: int) -> None:
    names: list[str] = []
    while page := await queries.page(names[-1] if names else "", limit):
        names += [known.record.device_id for known in page]
    assert names == [*(f"bike-{n}" for n in range(7)), "cabinet-0"]
