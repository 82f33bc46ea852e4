"""Work on several connections: side by side, in turn, and never for ever."""

import asyncio

import pytest
from psycopg import AsyncConnection

from gateway.ports import StoreUnavailable
from gateway.stores import postgres_links
from gateway.stores.postgres_links import PostgresLinks
from tests.support.stored import ask


async def backend(connection: AsyncConnection) -> int:
    row = await (await connection.execute("select pg_backend_pid()")).fetchone()
    assert row is not None
    return int(row[0])


async def test_work_runs_side_by_side_and_a_lone_one_on_the_warm_connection(database: str) -> None:
    links = PostgresLinks(database, name="links", count=3)
    together = asyncio.Barrier(3)

    async def meet(connection: AsyncConnection) -> int:
        await together.wait()
        return await backend(connection)

    assert len(set(await asyncio.gather(*(links.run(meet) for _ in range(3))))) == 3
    assert len({await links.run(backend) for _ in range(5)}) == 1
    await links.close()


async def test_opened_before_there_is_work_all_are_there(database: str) -> None:
    links = PostgresLinks(database, name="links", count=3)
    await links.open()
    counted = (
        "select count(*) from pg_stat_activity where datname = current_database() and application_name = %s"
    )
    assert ask(database, counted, ["latchkey-links"]) == [(3,)]
    await links.close()


async def test_who_finds_no_free_connection_in_time_is_told(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_links, "WAIT_S", 0.05)
    links = PostgresLinks(database, name="links", count=1)
    release, began = asyncio.Event(), asyncio.Event()

    async def hold(connection: AsyncConnection) -> None:
        began.set()
        await release.wait()

    holding = asyncio.create_task(links.run(hold))
    await began.wait()
    with pytest.raises(StoreUnavailable):
        await links.run(backend)
    release.set()
    await holding
    assert await links.run(backend)
    await links.close()
