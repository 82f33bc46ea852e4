"""A whole COPY into PostgreSQL with two waits: for the leave to send, and for the outcome."""

from collections.abc import Callable

from psycopg import AsyncConnection, generators
from psycopg.abc import PQGen
from psycopg.pq import ExecStatus, abc

from gateway.stores.quick_connection import expect


async def copy_in(
    connection: AsyncConnection, command: bytes, packed: bytes, meanwhile: Callable[[], None] | None = None
) -> None:
    """Sends the whole COPY stream and waits until the server has it. psycopg's own `copy` takes rows as they come
    and so waits four times and more. `meanwhile` is called once when all is sent, before the outcome is known.
    Raises psycopg.Error; the connection can then be used again."""
    await connection.wait(_copy(connection.pgconn, command, packed, meanwhile))


def _copy(
    pgconn: abc.PGconn, command: bytes, packed: bytes, meanwhile: Callable[[], None] | None
) -> PQGen[None]:
    pgconn.send_query(command)
    yield from generators.send(pgconn)
    yield from expect(pgconn, ExecStatus.COPY_IN)
    # libpq's buffer grows as needed, so all of it is taken at once.
    pgconn.put_copy_data(packed)
    pgconn.put_copy_end()
    yield from generators.send(pgconn)
    if meanwhile is not None:
        # The server inserts what was sent; the end of the statement, and so its commit, is still to come.
        meanwhile()
    yield from expect(pgconn, ExecStatus.COMMAND_OK)
