"""psycopg's connection with a shorter wait: the same answers and errors, notices while idle, and nothing cancelled."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest
from psycopg import Notify
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gateway.stores.postgres_link import cut
from gateway.stores.quick_connection import QuickConnection
from tests.support.resetting_relay import resetting
from tests.support.stored import ask
from tests.support.waiting import until_async

TERMINATE = "select pg_terminate_backend(%s)"


@pytest.fixture
async def connection(database: str) -> AsyncIterator[QuickConnection]:
    opened = await QuickConnection.connect(database, autocommit=True)
    yield opened
    await opened.close()


async def test_it_answers_as_psycopg_does(connection: QuickConnection) -> None:
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute("select %s::int, %s::text", (7, "x" * 3_000_000))
        assert await cursor.fetchall() == [(7, "x" * 3_000_000)]
    async with connection.pipeline():
        cursors = [await connection.execute("select %s::int", (number,)) for number in range(300)]
        assert [await cursor.fetchone() for cursor in cursors] == [(number,) for number in range(300)]
    async with connection.cursor().copy("copy (select generate_series(1, 3)) to stdout") as copy:
        assert [row async for row in copy.rows()] == [("1",), ("2",), ("3",)]


async def test_a_call_gives_rows_of_texts_and_prepares_once(connection: QuickConnection) -> None:
    statement = b"select n, nullif(n, 2), $1::text || n from generate_series(1, 2) as n"
    for word in (b"a", b"b"):
        assert await connection.call(statement, [word]) == [
            (b"1", b"1", word + b"1"),
            (b"2", None, word + b"2"),
        ]
    assert await connection.call(b"select $1::text", [None]) == [(None,)]
    cursor = await connection.execute("select count(*) from pg_prepared_statements where name like 'called%'")
    assert await cursor.fetchone() == (2,)


async def test_what_is_given_as_binary_is_taken_as_binary(connection: QuickConnection) -> None:
    numbers = [(n).to_bytes(4, "big") for n in (7, 2)]
    assert await connection.call(b"select $1::int - $2::int", numbers, binary=True) == [(b"5",)]


async def test_what_is_to_be_done_meanwhile_is_done_before_the_answer(connection: QuickConnection) -> None:
    done = []
    await connection.execute("create temp table given (n int)")
    insert = b"insert into given values ($1::int)"
    assert await connection.call(insert, [b"1"], meanwhile=lambda: done.append("once")) == []
    assert done == ["once"]


async def test_errors_come_as_their_classes_and_leave_it_usable(connection: QuickConnection) -> None:
    for statement, argument, error in (
        (b"select 1 / $1::int", b"0", psycopg.errors.DivisionByZero),
        (b"select $1::int", b"x", psycopg.errors.InvalidTextRepresentation),
        (b"select $1::int from nowhere", b"1", psycopg.errors.UndefinedTable),
    ):
        with pytest.raises(error):
            await connection.call(statement, [argument])
    assert await connection.call(b"select $1::int", [b"1"]) == [(b"1",)]


async def test_notices_are_heard_while_nothing_is_asked(connection: QuickConnection, database: str) -> None:
    heard: list[Notify] = []
    connection.add_notify_handler(heard.append)
    await connection.execute("listen news")
    connection.hear()
    for number in range(3):
        ask(database, f"notify news, '{number}'")
        await until_async(lambda count=number + 1: len(heard) == count)  # type: ignore[misc]  # a lambda's default
    await connection.execute("notify news, 'mine'")
    await until_async(lambda: [one.payload for one in heard] == ["0", "1", "2", "mine"])
    assert not connection.lost.is_set()


async def test_the_end_is_noticed_while_nothing_is_asked(connection: QuickConnection, database: str) -> None:
    connection.hear()
    ask(database, TERMINATE, [connection.info.backend_pid])
    await asyncio.wait_for(connection.lost.wait(), 30)
    with pytest.raises(psycopg.OperationalError):
        await connection.call(b"select 1", [])
    assert connection.closed


async def test_whoever_is_cancelled_leaves_what_was_sent_to_the_server(
    connection: QuickConnection, database: str
) -> None:
    ask(database, "create table slow (n int)")
    insert = b"insert into slow select $1::int from pg_sleep(0.5)"
    working = asyncio.create_task(connection.call(insert, [b"1"]))
    backend = connection.info.backend_pid
    running = "select count(*) from pg_stat_activity where pid = %s and wait_event = 'PgSleep'"
    await until_async(lambda: ask(database, running, [backend]) == [(1,)])
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert connection.closed
    await until_async(lambda: ask(database, "select count(*) from slow") == [(1,)])


async def test_one_that_was_cut_fails_at_once(connection: QuickConnection) -> None:
    sleeping = asyncio.create_task(connection.call(b"select pg_sleep(600)", []))
    await asyncio.sleep(0)
    cut(connection)
    with pytest.raises(psycopg.OperationalError):
        await asyncio.wait_for(sleeping, 30)


async def test_its_descriptor_may_be_anothers_the_moment_it_is_closed(database: str) -> None:
    """A reader that stayed with the loop would wake for what the next one hears."""
    for _ in range(20):
        opened = await QuickConnection.connect(database, autocommit=True)
        assert await opened.call(b"select 1", []) == [(b"1",)]
        await opened.close()
    first, second = [await QuickConnection.connect(database, autocommit=True) for _ in range(2)]
    answers = await asyncio.gather(*(one.call(b"select 1", []) for one in (first, second)))
    assert answers == [[(b"1",)], [(b"1",)]]
    await first.close()
    await second.close()


async def test_after_a_rollback_that_let_go_of_all_statements_a_call_goes_on(
    connection: QuickConnection,
) -> None:
    statement = b"select $1::int"
    assert await connection.call(statement, [b"1"]) == [(b"1",)]
    for number in range(8):
        await connection.execute("select %s::int", (number,))
    done: list[str] = []
    for _ in range(2):
        await connection.execute("begin")
        await connection.rollback()
        answer = await connection.call(statement, [b"2"], meanwhile=lambda: done.append("once"))
        assert answer == [(b"2",)]
    assert len(done) == 2


async def test_whoever_hears_notices_and_fails_is_found_out(
    connection: QuickConnection, database: str
) -> None:
    connection.add_notify_handler(lambda notice: [][0])
    await connection.execute("listen news")
    connection.hear()
    ask(database, "notify news")
    await asyncio.wait_for(connection.lost.wait(), 30)
    assert isinstance(connection.failure, IndexError)


async def test_to_cut_what_is_closed_is_nothing(connection: QuickConnection) -> None:
    await connection.close()
    cut(connection)


async def test_a_reset_in_the_middle_of_an_answer_is_noticed(database: str) -> None:
    """uvloop calls a reader once when its socket was reset, and never again: the gateway waited for ever after a
    kill -9 of its PostgreSQL, and no deadline could wake it."""
    async with resetting(_port_of(database)) as relay:
        connection = await QuickConnection.connect(make_conninfo(database, port=relay.port), autocommit=True)
        statement = b"select repeat('x', $1::int)"
        assert await connection.call(statement, [b"1"]) == [(b"x",)]
        relay.reset_after(100_000)
        with pytest.raises(psycopg.OperationalError):
            await asyncio.wait_for(connection.call(statement, [b"3000000"]), 30)
        assert connection.closed
        await connection.close()


async def test_a_reset_right_behind_a_notice_is_noticed_while_nothing_is_asked(database: str) -> None:
    async with resetting(_port_of(database)) as relay:
        connection = await QuickConnection.connect(make_conninfo(database, port=relay.port), autocommit=True)
        heard: list[Notify] = []
        connection.add_notify_handler(heard.append)
        await connection.execute("listen news")
        connection.hear()
        relay.reset_after(1)
        ask(database, "notify news, 'the last'")
        await asyncio.wait_for(connection.lost.wait(), 30)
        assert [one.payload for one in heard] == ["the last"]
        await connection.close()


def _port_of(dsn: str) -> int:
    return int(conninfo_to_dict(dsn)["port"] or 0)
