"""psycopg's connection with a shorter wait: one reader that stays with the loop, no timers, and no cancel request."""

import asyncio
import select
from collections.abc import Callable, Sequence
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection, errors, generators
from psycopg.abc import RV, PQGen
from psycopg.pq import ExecStatus, abc
from psycopg.waiting import Ready, Wait

Texts = list[tuple[bytes | None, ...]]
"""Rows as PostgreSQL writes them as text; None is null."""

_BINARY: Final = 1
_READABLE: Final = select.POLLIN | select.POLLHUP | select.POLLERR | select.POLLNVAL
_LOOKED_FOR: Final = select.POLLIN | select.POLLOUT


class QuickConnection(AsyncConnection[tuple[Any, ...]]):
    """As its base class, but for these: a wait costs one look instead of a watch begun and ended; who is cancelled
    leaves the connection cut, where psycopg would ask the server to cancel a commit that is on its way and wait for
    the answer; notices are heard while nothing is asked; and `call` runs one statement with nothing between it and
    libpq."""

    def __init__(self, pgconn: abc.PGconn, row_factory: Any = psycopg.rows.tuple_row) -> None:
        super().__init__(pgconn, row_factory)
        self.lost = asyncio.Event()
        """Set when the server ended the connection while nothing was asked, or whoever hears notices failed."""
        self.failure: Exception | None = None
        """Of whoever hears notices."""
        self._watched = -1
        """The descriptor whose reader is with the loop; -1 while none is."""
        self._poll = select.poll()
        self._awaited: asyncio.Future[Ready] | None = None
        self._statements: dict[bytes, bytes] = {}
        self._names = 0

    async def wait(self, gen: PQGen[RV], interval: float = 0.0, timeout: float | None = None) -> RV:
        """Drives what psycopg makes of a question to its answer. Who has a deadline cuts: neither `interval` nor
        `timeout` is looked at. Raises what the server and libpq raise."""
        try:
            wanted = next(gen)
            while True:
                wanted = gen.send(await self._ready(wanted))
        except StopIteration as end:
            answer: RV = end.value
            return answer
        except BaseException as error:
            # libpq closes the socket of a lost connection, and its number may be another's in the next moment.
            self._forget()
            if not isinstance(error, Exception):
                # Cancelled with something under way: the server finishes it or not, but nobody hears of it.
                self.pgconn.finish()
            raise

    async def close(self) -> None:
        """At once; what is under way at the server happens or not."""
        self._forget()
        self._tell(Ready.RW)
        await super().close()

    async def call(
        self,
        statement: bytes,
        arguments: Sequence[bytes | None],
        *,
        binary: bool = False,
        meanwhile: Callable[[], None] | None = None,
    ) -> Texts:
        """One statement with `$1` … and texts for them, or what they are as `binary`; a transaction of its own.
        Prepared at its first use. `meanwhile` is called once all is sent, before the outcome is known.
        Raises psycopg.Error."""
        formats = [_BINARY] * len(arguments) if binary else None
        try:
            name = await self._prepared_as(statement)
            self.pgconn.send_query_prepared(name, arguments, formats)
            return await self.wait(_answer(self.pgconn, meanwhile))
        except errors.InvalidSqlStatementName:
            # psycopg lets go of every prepared statement after a rollback, of ours too. This one did not run.
            self._statements.clear()
            name = await self._prepared_as(statement)
            self.pgconn.send_query_prepared(name, arguments, formats)
            return await self.wait(_answer(self.pgconn, None))

    def hear(self) -> None:
        """From here on `add_notify_handler` hears of notices as they come, not only with the next answer. To be said
        again after each question: what came right behind its answer may have been the last call of the reader."""
        self._watch(self.pgconn.socket)
        asyncio.get_running_loop().call_soon(self._readable)

    async def _prepared_as(self, statement: bytes) -> bytes:
        name = self._statements.get(statement)
        if name is None:
            # Never a name for the second time: the first may still be known to the server.
            self._names += 1
            name = b"called_%d" % self._names
            await self.wait(_prepare(self.pgconn, name, statement))
            self._statements[statement] = name
        return name

    async def _ready(self, wanted: Wait) -> Ready:
        fileno = self.pgconn.socket
        self._watch(fileno)
        # Before every wait: once a connection was reset, uvloop's reader is called a single time, however much there
        # is still to be read. And a socket that is to be written to nearly always can be.
        now = self._ready_now() & wanted
        if now & Ready.W:
            return Ready(now)
        loop = asyncio.get_running_loop()
        awaited: asyncio.Future[Ready] = loop.create_future()
        self._awaited = awaited
        if now:
            # A long answer that comes as fast as it is read leaves the others their turn.
            loop.call_soon(self._tell, Ready.R)
        writing = wanted & Wait.W
        if writing:
            loop.add_writer(fileno, self._tell, Ready.W)
        try:
            return await awaited
        finally:
            self._awaited = None
            if writing:
                loop.remove_writer(fileno)

    def _ready_now(self) -> int:
        """`Ready.R` and `Ready.W`, as of the watched descriptor."""
        found = sum(events for _, events in self._poll.poll(0))
        return (found & _READABLE and Ready.R) | (found & select.POLLOUT and Ready.W)

    def _watch(self, fileno: int) -> None:
        if self._watched != fileno:
            self._forget()
            asyncio.get_running_loop().add_reader(fileno, self._readable)
            self._poll.register(fileno, _LOOKED_FOR)
            self._watched = fileno

    def _forget(self) -> None:
        watched, self._watched = self._watched, -1
        if watched >= 0:
            asyncio.get_running_loop().remove_reader(watched)
            self._poll.unregister(watched)

    def _tell(self, ready: Ready) -> None:
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_result(ready)

    def _readable(self) -> None:
        if self._awaited is not None:
            self._tell(Ready.R)
            return
        if self._watched < 0 or not self._ready_now() & Ready.R:
            return
        # Nothing was asked: a notice, or the end.
        try:
            self.pgconn.consume_input()
        except psycopg.Error:
            self._forget()
            self.lost.set()
            return
        while (notice := self.pgconn.notifies()) is not None:
            try:
                if self.pgconn.notify_handler is not None:
                    self.pgconn.notify_handler(notice)
            except Exception as error:
                self.failure = error
                self.lost.set()
        # Whether there is more, for the same reason as before a wait; a flood leaves the others their turn.
        asyncio.get_running_loop().call_soon(self._readable)


def _prepare(pgconn: abc.PGconn, name: bytes, statement: bytes) -> PQGen[None]:
    pgconn.send_prepare(name, statement)
    yield from generators.send(pgconn)
    yield from expect(pgconn, ExecStatus.COMMAND_OK)


def _answer(pgconn: abc.PGconn, meanwhile: Callable[[], None] | None) -> PQGen[Texts]:
    yield from generators.send(pgconn)
    if meanwhile is not None:
        meanwhile()
    result = yield from expect(pgconn, ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)
    columns = range(result.nfields)
    return [tuple([result.get_value(row, column) for column in columns]) for row in range(result.ntuples)]


def expect(pgconn: abc.PGconn, *statuses: ExecStatus) -> PQGen[abc.PGresult]:
    """The answer to what was sent. Raises psycopg.Error for any other than these."""
    results = yield from generators.fetch_many(pgconn)
    result: abc.PGresult = results[-1]
    if result.status not in statuses:
        raise errors.error_from_result(result)
    return result
