"""A way to PostgreSQL that counts how often its client has to wait for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

# PostgreSQL's protocol, "Message Formats": a byte for the type, then the length with itself but without the type.
_HEAD_BYTES = 5
_COPY_IN_RESPONSE = b"G"
_REQUESTS = frozenset(b"QPBDEFCH")
"""Query, Parse, Bind, Describe, Execute, FunctionCall, Close, Flush: what more there is belongs to one of them."""


class RoundTrips:
    """Counts all connections together; `dsn` leads through it to the database."""

    def __init__(self, dsn: str) -> None:
        self.count = 0
        """A request after an answer, and every leave to send the rows of a COPY."""
        self.dsn = ""
        self._target = urlsplit(dsn)
        self._answered = False
        self._writers: list[asyncio.StreamWriter] = []
        self._carried: list[asyncio.Task[None]] = []

    def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        self._carried.append(asyncio.create_task(self._carry(reader, writer)))

    async def cut(self) -> None:
        """Ends every connection."""
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*self._carried)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        self._writers += [writer, far_writer]
        far_writer.write(await _untyped(reader))
        await asyncio.gather(
            self._pass_on(reader, far_writer, from_client=True),
            self._pass_on(far_reader, writer, from_client=False),
        )

    def point_at(self, port: int) -> None:
        """Where this listens."""
        userinfo = self._target.netloc.rpartition("@")[0]
        plain = "sslmode=disable&gssencmode=disable"
        self.dsn = urlunsplit(("postgresql", f"{userinfo}@127.0.0.1:{port}", self._target.path, plain, ""))

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, from_client: bool
    ) -> None:
        try:
            while True:
                head = await reader.readexactly(_HEAD_BYTES)
                body = await reader.readexactly(int.from_bytes(head[1:], "big") - 4)
                self._note(head[:1], from_client=from_client)
                writer.write(head + body)
        except (asyncio.IncompleteReadError, OSError):
            writer.close()

    def _note(self, kind: bytes, *, from_client: bool) -> None:
        if not from_client:
            self._answered = True
            self.count += kind == _COPY_IN_RESPONSE
        elif self._answered and kind[0] in _REQUESTS:
            self._answered = False
            self.count += 1


async def _untyped(reader: asyncio.StreamReader) -> bytes:
    """The first message of a client has no type."""
    length = await reader.readexactly(4)
    return length + await reader.readexactly(int.from_bytes(length, "big") - 4)


@asynccontextmanager
async def round_trips(dsn: str) -> AsyncIterator[RoundTrips]:
    """Listens on a free port of loopback."""
    counted = RoundTrips(dsn)
    server = await asyncio.start_server(counted.carry, "127.0.0.1", 0)
    counted.point_at(server.sockets[0].getsockname()[1])
    async with server:
        yield counted
        await counted.cut()
