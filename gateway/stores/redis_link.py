"""One connection to Redis: pipelined commands with a deadline, and never a second try."""

import asyncio
import hashlib
import random
from collections import deque
from collections.abc import Sequence
from typing import Final, cast
from urllib.parse import unquote, urlsplit

import hiredis
from msgspec import Struct

from gateway.backoff import Chance, next_delay_s
from gateway.ports import StoreUnavailable

Argument = str | bytes | int
Command = tuple[Argument, ...]
Reply = bytes | int | list["Reply"] | hiredis.ReplyError | None

DEADLINE_S = 3.0
"""A script over 2,000 steps takes 15 ms; what has not answered by then is frozen or unreachable."""

FIRST_DELAY_S = 0.05
CAP_DELAY_S = 1.0
"""A Redis that is back is found within a second."""

_NOTHING: Final = object()


class RedisAddress(Struct, frozen=True):
    """What a `redis://` address says."""

    host: str
    port: int
    username: str
    password: str
    database: int
    tls: bool

    @classmethod
    def parse(cls, url: str) -> "RedisAddress":
        """Of `redis://[user:password@]host[:port][/database]`, or `rediss://` for TLS. Raises ValueError."""
        parts = urlsplit(url)
        if parts.scheme not in {"redis", "rediss"} or not parts.hostname:
            raise ValueError("a Redis address looks like redis://host:6379/0")
        return cls(
            host=parts.hostname,
            port=parts.port or 6379,
            username=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            database=int(parts.path.strip("/") or 0),
            tls=parts.scheme == "rediss",
        )


class RedisLink:
    """Connects when it is first used, and again when it is used after a loss, with growing pauses. A command
    whose answer is lost is not repeated: it may have had its effect. Nothing is shared but the order of replies,
    so a cancelled caller costs nobody else theirs."""

    def __init__(
        self, url: str, *, name: str, deadline_s: float = DEADLINE_S, chance: Chance | None = None
    ) -> None:
        self.run_id = ""
        """Of the server life this link last spoke to."""
        self._address = RedisAddress.parse(url)
        self._name = name
        self._deadline_s = deadline_s
        self._chance: Chance = chance or random.Random().random
        self._scripts: dict[str, str] = {}
        self._connection: _Connection | None = None
        self._connecting = asyncio.Lock()
        self._failures = 0
        self._next_attempt_s = 0.0
        self._closed = False

    def add_script(self, source: str) -> str:
        """The digest to call it by; it is loaded with every connection."""
        digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
        self._scripts[digest] = source
        return digest

    async def ready(self) -> str:
        """Connects where needed; the server's run id. No turn of the loop passes when it is connected, so what
        is executed next goes to that very server. Raises StoreUnavailable."""
        if self._connection is None or not self._connection.is_open:
            await self._connect()
        return self.run_id

    async def execute(self, commands: Sequence[Command], *, extra_s: float = 0.0) -> list[Reply]:
        """Sends all in one write; one reply each, an error of the server among them as a value. `extra_s` is
        for commands that wait. Raises StoreUnavailable: any of them may or may not have been executed."""
        return await self.send([packed_command(command) for command in commands], extra_s=extra_s)

    async def send(self, packed: Sequence[bytes], *, extra_s: float = 0.0) -> list[Reply]:
        """As `execute`, of commands that `packed_command` made ready."""
        await self.ready()
        connection = self._connection
        assert connection is not None
        return await connection.send(packed, self._deadline_s + extra_s)

    async def load_scripts(self) -> None:
        """After the server has forgotten them. Raises StoreUnavailable."""
        await self.execute([("SCRIPT", "LOAD", source) for source in self._scripts.values()])

    async def close(self) -> None:
        """Whoever still waits for a reply gets StoreUnavailable."""
        self._closed = True
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _connect(self) -> None:
        async with self._connecting:
            if self._connection is not None and self._connection.is_open:
                return
            loop = asyncio.get_running_loop()
            if self._closed:
                raise StoreUnavailable("Redis: the link is closed")
            if loop.time() < self._next_attempt_s:
                raise StoreUnavailable("Redis: not reachable a moment ago")
            try:
                async with asyncio.timeout(self._deadline_s):
                    self._connection = await self._greeted()
            except (OSError, TimeoutError, StoreUnavailable) as error:
                delay_s = next_delay_s(self._failures, self._chance, first_s=FIRST_DELAY_S, cap_s=CAP_DELAY_S)
                self._failures += 1
                self._next_attempt_s = loop.time() + delay_s
                raise StoreUnavailable(f"Redis: cannot connect: {str(error) or 'no answer'}") from error
            self._failures = 0

    async def _greeted(self) -> "_Connection":
        """A connection that is logged in and has its scripts."""
        address = self._address
        _, connection = await asyncio.get_running_loop().create_connection(
            _Connection, address.host, address.port, ssl=address.tls or None
        )
        try:
            greeting = self._greeting()
            packed = [packed_command(command) for command in greeting]
            replies = await connection.send(packed, self._deadline_s)
            for command, reply in zip(greeting, replies, strict=True):
                if isinstance(reply, hiredis.ReplyError):
                    raise StoreUnavailable(f"Redis refused {command[0]!s}: {reply}")
            self.run_id = _run_id(replies[-1])
        except BaseException:
            connection.abort()
            raise
        return connection

    def _greeting(self) -> list[Command]:
        address = self._address
        greeting: list[Command] = []
        if address.password:
            user: Command = (address.username,) if address.username else ()
            greeting.append(("AUTH", *user, address.password))
        greeting.append(("CLIENT", "SETNAME", self._name))
        if address.database:
            greeting.append(("SELECT", address.database))
        greeting.extend(("SCRIPT", "LOAD", source) for source in self._scripts.values())
        greeting.append(("INFO", "server"))
        return greeting


def packed_command(command: Command) -> bytes:
    """As Redis is sent it."""
    # hiredis packs tuples of any length; its stub says of one.
    return cast("bytes", hiredis.pack_command(command))  # type: ignore[arg-type]


def no_error(reply: Reply) -> Reply:
    """The reply itself. Raises StoreUnavailable for an error of the server: out of memory, cannot persist,
    still loading."""
    if isinstance(reply, hiredis.ReplyError):
        raise StoreUnavailable(f"Redis: {reply}")
    return reply


def _run_id(info: Reply) -> str:
    text = info.decode() if isinstance(info, bytes) else ""
    for line in text.splitlines():
        if line.startswith("run_id:"):
            return line.removeprefix("run_id:").strip()
    raise StoreUnavailable("Redis: the server does not tell its run id")


class _Awaited:
    """The replies of one `send`."""

    __slots__ = ("done", "missing", "replies")

    def __init__(self, missing: int, done: "asyncio.Future[list[Reply]]") -> None:
        self.missing = missing
        self.replies: list[Reply] = []
        self.done = done


class _Connection(asyncio.Protocol):
    """Replies come in the order of the commands."""

    def __init__(self) -> None:
        self.is_open = False
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        self._awaited: deque[_Awaited] = deque()
        self._transport: asyncio.WriteTransport | None = None
        self._lost = asyncio.get_running_loop().create_future()

    async def send(self, packed: Sequence[bytes], deadline_s: float) -> list[Reply]:
        if not packed:
            return []
        if not self.is_open or self._transport is None:
            raise StoreUnavailable("Redis: connection lost")
        done: asyncio.Future[list[Reply]] = asyncio.get_running_loop().create_future()
        self._awaited.append(_Awaited(len(packed), done))
        self._transport.write(b"".join(packed))
        try:
            async with asyncio.timeout(deadline_s):
                return await done
        except TimeoutError:
            # Later replies could not be told from those of this call any more.
            self.abort()
            raise StoreUnavailable(f"Redis: no answer within {deadline_s:.1f} s") from None

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
        self._fail("connection given up")

    async def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
        self._fail("link closed")
        await self._lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.WriteTransport, transport)
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while True:
            try:
                reply = self._reader.gets()
            except hiredis.ProtocolError:
                self.abort()
                return
            if reply is _NOTHING:
                return
            self._take(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail("connection lost" if exc is None else f"connection lost: {exc}")
        if not self._lost.done():
            self._lost.set_result(None)

    def _take(self, reply: Reply) -> None:
        if not self._awaited:
            self.abort()
            return
        first = self._awaited[0]
        first.replies.append(reply)
        first.missing -= 1
        if not first.missing:
            self._awaited.popleft()
            if not first.done.done():
                first.done.set_result(first.replies)

    def _fail(self, why: str) -> None:
        self.is_open = False
        while self._awaited:
            done = self._awaited.popleft().done
            if not done.done():
                done.set_exception(StoreUnavailable(f"Redis: {why}"))
