"""A COPY is whole or not at all, and its connection can be used again."""

from collections.abc import AsyncIterator

import psycopg
import pytest

from gateway.stores.copying import copy_in
from gateway.stores.packed_rows import COLUMNS, HEADER, TRAILER, pack_rows
from tests.support.stored import a_row, ask

COMMAND = f"copy report ({COLUMNS}) from stdin (format binary)".encode()
MANY_ROWS = 40_000
"""Six megabytes: more than any buffer between here and the server holds."""

WAITING = """
    create function wait_for_it() returns trigger language plpgsql as
        $$ begin perform pg_advisory_xact_lock(1); return new; end $$;
    create trigger wait_for_it before insert on report for each row execute function wait_for_it()
"""


@pytest.fixture
async def connection(database: str) -> AsyncIterator[psycopg.AsyncConnection]:
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as opened:
        yield opened


async def test_all_rows_are_stored_and_there_is_a_while_before_they_are(
    connection: psycopg.AsyncConnection, database: str
) -> None:
    ask(database, WAITING)
    seen = []
    with psycopg.connect(database) as blocker:
        blocker.execute("select pg_advisory_xact_lock(1)")

        def meanwhile() -> None:
            seen.append(ask(database, "select count(*) from report"))
            blocker.rollback()

        await copy_in(connection, COMMAND, pack_rows([a_row(seq) for seq in range(5)]), meanwhile)
    assert seen == [[(0,)]]
    assert ask(database, "select count(*) from report") == [(5,)]


async def test_a_stream_beyond_all_buffers_is_stored(
    connection: psycopg.AsyncConnection, database: str
) -> None:
    await copy_in(connection, COMMAND, pack_rows([a_row(seq) for seq in range(MANY_ROWS)]))
    assert ask(database, "select count(*) from report") == [(MANY_ROWS,)]


@pytest.mark.parametrize(
    ("packed", "error"),
    [
        (b"no header", psycopg.DataError),
        (HEADER + b"\x00\x01" + TRAILER, psycopg.DataError),
        (b"x" * 6_000_000, psycopg.DataError),
        (pack_rows([a_row(1), a_row(1)]), psycopg.errors.UniqueViolation),
        (
            pack_rows([a_row(seq % (MANY_ROWS - 1)) for seq in range(MANY_ROWS)]),
            psycopg.errors.UniqueViolation,
        ),
    ],
)
async def test_what_is_refused_stores_nothing_and_leaves_the_connection_usable(
    connection: psycopg.AsyncConnection, database: str, packed: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await copy_in(connection, COMMAND, packed)
    assert ask(database, "select count(*) from report") == [(0,)]
    await copy_in(connection, COMMAND, pack_rows([a_row(2)]))
    assert ask(database, "select seq from report") == [(2,)]


async def test_a_command_that_is_no_copy_is_refused(connection: psycopg.AsyncConnection) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable):
        await copy_in(connection, b"copy nowhere from stdin", b"")
    cursor = await connection.execute("select 1")
    assert await cursor.fetchone() == (1,)
