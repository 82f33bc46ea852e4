"""One hash is one rider, also when they come twice at once; after erasure they are somebody new."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from gateway.stores.people import PostgresPeople, erase_person, take_back_tokens
from gateway.stores.postgres_link import PostgresLink
from gateway.stores.reading_pool import ReadingPool
from tests.support.stored import ask

HASH = bytes(range(32))


@pytest.fixture
async def people(database: str) -> AsyncIterator[PostgresPeople]:
    pool, link = ReadingPool(database), PostgresLink(database, name="people")
    await pool.open()
    yield PostgresPeople(pool, link)
    await link.close()
    await pool.close()


async def test_a_rider_is_the_same_at_every_login_of_an_operator(
    people: PostgresPeople, database: str
) -> None:
    ask(database, "insert into operator values (2, 'two')")
    first = await people.rider(1, HASH)
    assert await people.rider(1, HASH) == first
    assert await people.rider(2, HASH) != first
    assert await people.rider(1, bytes(32)) != first


async def test_two_first_logins_at_once_are_one_rider(database: str) -> None:
    pool = ReadingPool(database)
    await pool.open()
    links = [PostgresLink(database, name=f"people-{number}") for number in range(6)]
    try:
        found = await asyncio.gather(*(PostgresPeople(pool, link).rider(1, HASH) for link in links))
        assert len(set(found)) == 1
    finally:
        for link in links:
            await link.close()
        await pool.close()


async def test_who_was_erased_left_nothing_but_a_random_id(people: PostgresPeople, database: str) -> None:
    before = await people.rider(1, HASH)
    with psycopg.connect(database, autocommit=True) as connection:
        assert erase_person(connection, 1, before, by="console:me", why="asked to")
        assert not erase_person(connection, 1, before, by="console:me", why="asked to")
    everything = str([ask(database, f"select * from {table}") for table in ("person", "audit", "revocation")])
    assert HASH.hex() not in everything
    assert repr(HASH) not in everything
    assert before in everything
    assert (1, before) in await people.revocations()
    assert await people.rider(1, HASH) != before


async def test_tokens_taken_back_are_remembered_for_as_long_as_one_may_live(
    people: PostgresPeople, database: str
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        take_back_tokens(connection, 1, "ann", by="console:me", why="left")
    (moment,) = (await people.revocations()).values()
    assert moment > 1_700_000_000_000
    ask(database, "update revocation set revoked_at = now() - interval '26 hours'")
    assert await people.revocations() == {}
