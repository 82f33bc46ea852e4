"""Public ids are given to who waits for one, past whoever else is at work."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import chain, count, repeat

import psycopg
import pytest

from firmware_protocol.messages import DeviceId, Hello
from gateway.core.device import DeviceRecord
from gateway.stores import registry as of_registry
from gateway.stores.registry import PostgresRegistry
from tests.support.fakes.clock import FakeClock
from tests.support.stored import NOW_MS, ask, register

A, B = DeviceId("bike-a"), DeviceId("bike-b")


@pytest.fixture
async def registry(database: str) -> AsyncIterator[PostgresRegistry]:
    register(database, A, B)
    store = PostgresRegistry(database, FakeClock(NOW_MS))
    await store.open()
    yield store
    await store.close()


async def numbers(registry: PostgresRegistry, *used: DeviceId) -> dict[DeviceId, int]:
    given = await registry.give_public_ids(dict.fromkeys(used, 1))
    return {device_id: record.public_id_no for device_id, record in given.items()}


async def test_a_row_that_somebody_holds_is_left_for_the_next_time(
    registry: PostgresRegistry, database: str
) -> None:
    with psycopg.connect(database) as somebody:
        somebody.execute("update device set status = 3 where device_id = %s", [A])
        assert await numbers(registry, A, B) == {A: 1, B: 2}
        somebody.rollback()
    assert await numbers(registry, A, B) == {A: 2, B: 2}


async def test_a_marker_that_is_anothers_is_left_for_the_next_time(
    registry: PostgresRegistry, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ((taken,),) = ask(database, "select marker from device where device_id = %s", (B,))
    drawn = chain([taken], count(500_000_000))
    monkeypatch.setattr(of_registry, "draw_marker", lambda: next(drawn))
    assert await numbers(registry, A) == {A: 1}
    assert await numbers(registry, A) == {A: 2}


async def test_a_marker_drawn_twice_at_once_is_drawn_again(
    registry: PostgresRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = chain(repeat(600_000_000, 2), count(500_000_000))
    monkeypatch.setattr(of_registry, "draw_marker", lambda: next(drawn))
    assert await numbers(registry, A, B) == {A: 2, B: 2}


async def test_a_hello_meanwhile_brings_no_older_row_back(
    registry: PostgresRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = (await registry.load([A]))[A]
    said = (device, Hello(power_on_id=7, model=device.model))
    read, hellos = registry._read, list[asyncio.Task[object]]()

    async def read_and_be_greeted(device_ids: Sequence[DeviceId]) -> list[DeviceRecord]:
        reading = asyncio.create_task(read(device_ids))
        # It is on the line now; the hello looks at memory and waits for its turn.
        await asyncio.sleep(0)
        hellos.append(asyncio.create_task(registry.give_boots([said], NOW_MS)))
        return await reading

    monkeypatch.setattr(registry, "_read", read_and_be_greeted)
    assert await numbers(registry, A) == {A: 2}
    await asyncio.gather(*hellos)
    known = registry.known(A)
    assert known is not None
    assert (known.public_id_no, known.power_on_id) == (2, 7)


async def test_an_id_that_a_person_changes_is_numbered_too(registry: PostgresRegistry, database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("update device set public_id = 'by-hand' where device_id = %s", [A])
        connection.execute("update device set public_id = 'by-hand' where device_id = %s", [A])
    assert (await registry.load([A]))[A].public_id_no == 2
