"""A connection that ends is opened again, and nobody waits for ever."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest
from psycopg import AsyncConnection

from cli.stack import Stack
from gateway.ports import StoreUnavailable
from gateway.stores.postgres_link import PostgresLink
from tests.support.stored import ask
from tests.support.waiting import until_async


@pytest.fixture
async def link(database: str) -> AsyncIterator[PostgresLink]:
    opened = PostgresLink(database, name="test")
    yield opened
    await opened.close()


async def backend(connection: AsyncConnection) -> int:
    row = await (await connection.execute("select pg_backend_pid()")).fetchone()
    assert row is not None
    return int(row[0])


async def hang(connection: AsyncConnection) -> None:
    await connection.execute("select pg_sleep(7)")


async def test_one_connection_serves_all_work(link: PostgresLink) -> None:
    assert len({await link.run(backend) for _ in range(5)}) == 1


async def test_pieces_of_work_do_not_mix(link: PostgresLink) -> None:
    running = 0

    async def alone(connection: AsyncConnection) -> None:
        nonlocal running
        running += 1
        assert running == 1
        await backend(connection)
        running -= 1

    await asyncio.gather(*(link.run(alone) for _ in range(20)))


async def test_a_connection_that_was_ended_is_replaced(link: PostgresLink, database: str) -> None:
    before = await link.run(backend)
    ask(database, "select pg_terminate_backend(%s)", [before])
    with pytest.raises(StoreUnavailable):
        await link.run(backend)
    assert await link.run(backend) != before


async def test_content_that_is_refused_keeps_the_connection(link: PostgresLink) -> None:
    async def divide(connection: AsyncConnection) -> None:
        await connection.execute("select 1 / 0")

    before = await link.run(backend)
    with pytest.raises(psycopg.DataError):
        await link.run(divide)
    assert await link.run(backend) == before


async def test_work_beyond_its_deadline_is_cut_and_the_next_goes_on(link: PostgresLink) -> None:
    before = await link.run(backend)
    with pytest.raises(StoreUnavailable, match=r"within 0\.2 s"):
        await link.run(hang, deadline_s=0.2)
    assert await link.run(backend) != before


async def test_a_cancelled_caller_leaves_no_connection_in_the_middle_of_something(link: PostgresLink) -> None:
    before = await link.run(backend)
    working = asyncio.create_task(link.run(hang))
    await asyncio.sleep(0)
    await until_async(lambda: link.busy)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert await link.run(backend) != before


async def test_a_commit_that_was_cut_off_is_not_cancelled(link: PostgresLink, database: str) -> None:
    """What was sent before the cut happens or does not; the server is never asked to cancel it."""
    ask(database, "create table slow (one int)")

    async def slow_commit(connection: AsyncConnection) -> None:
        await connection.execute("insert into slow select 1 from pg_sleep(1)")

    with pytest.raises(StoreUnavailable):
        await link.run(slow_commit, deadline_s=0.2)
    await until_async(lambda: ask(database, "select count(*) from slow") == [(1,)])


async def test_a_server_that_is_not_there_is_said_to_be_away_and_found_when_it_comes(
    stack: Stack, database: str
) -> None:
    nowhere = PostgresLink("postgresql://nobody@127.0.0.1:1/none", name="nowhere")
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await nowhere.run(backend)
    await nowhere.close()


async def test_the_server_is_told_the_time_limits(link: PostgresLink) -> None:
    async def settings(connection: AsyncConnection) -> list[str]:
        names = ("statement_timeout", "lock_timeout", "synchronous_commit", "timezone")
        said = [await (await connection.execute(f"show {name}".encode())).fetchone() for name in names]
        return [str(row[0]) for row in said if row]

    assert await link.run(settings) == ["8s", "5s", "on", "UTC"]


async def test_what_prepares_a_connection_runs_once_on_each(database: str) -> None:
    prepared = []

    async def prepare(connection: AsyncConnection) -> None:
        prepared.append(await backend(connection))

    link = PostgresLink(database, name="test", on_open=prepare)
    first = await link.run(backend)
    await link.run(backend)
    await link.close()
    assert prepared == [first, await link.run(backend)]
    await link.close()
