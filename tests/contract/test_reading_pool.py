"""Questions change nothing, share few connections, and learn when the store is away."""

import asyncio
import os
import signal

import psycopg
import pytest

from gateway.ports import StoreUnavailable
from gateway.stores.reading_pool import MAX_CONNECTIONS, ReadingPool
from tests.support.stored import ask


async def test_many_questions_share_few_connections(database: str) -> None:
    pool = ReadingPool(database)
    await pool.open()
    answers = await asyncio.gather(*(pool.rows("select pg_backend_pid(), %s::int", (n,)) for n in range(50)))
    assert [rows[0][1] for rows in answers] == list(range(50))
    assert len({rows[0][0] for rows in answers}) <= MAX_CONNECTIONS
    await pool.close()


async def test_a_question_changes_nothing(database: str) -> None:
    pool = ReadingPool(database)
    await pool.open()
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        await pool.rows("insert into operator values (5, 'five')")
    assert ask(database, "select count(*) from operator where operator_id <> 1") == [(0,)]
    await pool.close()


async def test_connections_that_died_are_replaced_unseen(database: str) -> None:
    pool = ReadingPool(database)
    await pool.open()
    await pool.ping()
    ask(
        database,
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where application_name = 'latchkey-reading' and datname = current_database()",
    )
    await pool.ping()
    await pool.close()


async def test_a_frozen_connection_is_replaced(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.stores.reading_pool.DEADLINE_S", 0.5)
    pool = ReadingPool(database)
    await pool.open()
    backend = (await pool.rows("select pg_backend_pid()"))[0][0]
    os.kill(backend, signal.SIGSTOP)
    try:
        assert (await pool.rows("select pg_backend_pid()"))[0][0] != backend
    finally:
        os.kill(backend, signal.SIGCONT)
    await pool.close()


async def test_a_question_without_an_answer_ends(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.stores.reading_pool.DEADLINE_S", 0.5)
    pool = ReadingPool(database)
    await pool.open()
    with pytest.raises(StoreUnavailable):
        await pool.rows("select pg_sleep(7)")
    await pool.ping()
    await pool.close()


async def test_a_server_that_is_away_is_said_to_be_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.stores.reading_pool.WAIT_S", 0.2)
    pool = ReadingPool("postgresql://nobody@127.0.0.1:1/none")
    await pool.open()
    with pytest.raises(StoreUnavailable):
        await pool.ping()
    await pool.close()
