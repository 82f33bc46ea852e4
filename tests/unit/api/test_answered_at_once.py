"""What is at hand is said by the connection itself, in the same bytes, and breaks none of its laws."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from msgspec.json import decode

from api.auth.doors import doors_of
from api.auth.limits import LIMITS
from api.guarded_http import GuardedHttp
from api.routes import nearby
from tests.support.waiting import until_async
from tests.unit.api.live.entries import entry
from tests.unit.api.surface import Surface, figures, requests_in, serving

NEARBY = "/v1/nearby?lat=31.2304&lon=121.4737"
FAR = "/v1/nearby?lat=10&lon=10"


class Peer:
    """One connection of a client, and the server's end of it."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: GuardedHttp
    ) -> None:
        self.reader, self.writer, self.server = reader, writer, server

    def ask(self, *requests: bytes) -> None:
        """In one piece."""
        self.writer.write(b"".join(requests))

    async def answer(self) -> tuple[bytes, bytes]:
        """Head and body of the next one."""
        async with asyncio.timeout(30):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            return head, await self.reader.readexactly(length)

    @property
    def was_at_once(self) -> bool:
        """Whether no request of this connection went the usual way."""
        return self.server.cycle is None


@asynccontextmanager
async def connected(surface: Surface) -> AsyncIterator[Peer]:
    """A connection to a surface that knows the token of an operator_admin."""
    await surface.gate.identify(surface.token())
    before = set(surface.connections)
    reader, writer = await asyncio.open_connection("127.0.0.1", surface.port)
    await until_async(lambda: set(surface.connections) - before)
    (server,) = set(surface.connections) - before
    assert isinstance(server, GuardedHttp)
    try:
        yield Peer(reader, writer, server)
    finally:
        writer.close()


def get(surface: Surface, path: str, *lines: str, first: str = "GET {} HTTP/1.1", role: str = "") -> bytes:
    token = surface.token(role or "operator_admin")
    head = [first.format(path), "Host: localhost", f"Authorization: Bearer {token}", *lines, "", ""]
    return "\r\n".join(head).encode()


async def test_both_ways_send_the_same_bytes() -> None:
    async with serving() as surface, connected(surface) as peer:
        await surface.put(entry(1))
        await surface.put(entry(2, available=False))
        for query in ("", "&availability=any", "&kinds=bike,cabinet&limit=1", "&l%69mit=1", "&radius_m=2?"):
            peer.server.cycle = None  # type: ignore[assignment]  # as before the first request
            peer.ask(get(surface, NEARBY + query))
            fast = await peer.answer()
            assert peer.was_at_once or b" 422 " in fast[0]
            peer.ask(get(surface, NEARBY + query, "Content-Length: 0"))
            slow = await peer.answer()
            assert not peer.was_at_once
            dated = [
                [line for line in head.split(b"\r\n") if line[:5] != b"date:"] for head, _ in (fast, slow)
            ]
            assert (dated[0], fast[1]) == (dated[1], slow[1])
            assert len(dated[0]) == len(fast[0].split(b"\r\n")) - 1, "an answer has a date"


@pytest.mark.parametrize(
    ("path", "lines", "first", "status"),
    [
        (NEARBY, [], "HEAD {} HTTP/1.1", 405),
        (NEARBY, [], "DELETE {} HTTP/1.1", 405),
        (NEARBY, [], "GET {} HTTP/1.0", 200),
        (NEARBY, ["Connection: keep-alive"], "GET {} HTTP/1.0", 200),
        (NEARBY, [], "GET http://localhost{} HTTP/1.1", 200),
        (NEARBY, ["Connection: close"], "GET {} HTTP/1.1", 200),
        (NEARBY, ["Connection: Upgrade", "Upgrade: h2c"], "GET {} HTTP/1.1", 200),
        (NEARBY, ["Expect: 100-continue"], "GET {} HTTP/1.1", 200),
        (NEARBY, ["Content-Length: 0"], "GET {} HTTP/1.1", 200),
        (NEARBY, ["Transfer-Encoding: chunked", "", "0"], "GET {} HTTP/1.1", 200),
        (NEARBY, ["Authorization: Bearer two"], "GET {} HTTP/1.1", 401),
        (NEARBY + "&x=1#&limit=1", [], "GET {} HTTP/1.1", 200),
        (NEARBY + "&limit=0", [], "GET {} HTTP/1.1", 422),
        (NEARBY.replace("lat=31", "lat=91"), [], "GET {} HTTP/1.1", 422),
        ("/v1/near%62y?lat=1&lon=1", [], "GET {} HTTP/1.1", 200),
        ("/v1/nearby/", [], "GET {} HTTP/1.1", 307),
        ("/v1/fleet", [], "GET {} HTTP/1.1", 200),
    ],
)
async def test_what_is_not_plain_goes_the_usual_way(
    path: str, lines: list[str], first: str, status: int
) -> None:
    async with serving() as surface, connected(surface) as peer:
        peer.ask(get(surface, path, *lines, first=first))
        head = await peer.reader.readuntil(b"\r\n\r\n")
        assert int(head.split()[1]) == status, head
        assert not peer.was_at_once


async def test_nobody_is_answered_at_once_who_is_not_known_yet() -> None:
    async with serving() as surface, connected(surface) as peer:
        for role in ("staff", "service"):
            peer.server.cycle = None  # type: ignore[assignment]  # as before the first request
            peer.ask(get(surface, NEARBY, role=role))
            assert (await peer.answer())[0].startswith(b"HTTP/1.1 200 ")
            assert not peer.was_at_once
            peer.server.cycle = None  # type: ignore[assignment]  # likewise
            peer.ask(get(surface, NEARBY, role=role))
            assert (await peer.answer())[0].startswith(b"HTTP/1.1 200 ")
            assert peer.was_at_once


async def test_questions_of_riders_are_counted() -> None:
    async with serving() as surface, connected(surface) as peer:
        for _ in range(LIMITS["nearby", "principal"].at_once):
            peer.ask(get(surface, NEARBY, role="rider"))
            assert (await peer.answer())[0].startswith(b"HTTP/1.1 200 ")
        peer.ask(get(surface, NEARBY, role="rider"))
        assert (await peer.answer())[0].startswith(b"HTTP/1.1 429 ")
        peer.ask(get(surface, NEARBY + "&availability=any", role="rider"))
        assert (await peer.answer())[0].startswith(b"HTTP/1.1 429 ")


async def test_another_name_hears_nothing() -> None:
    doors = doors_of("127.0.0.1", hosts=[], origins=[], proxies=[])
    async with serving(doors=doors) as surface, connected(surface) as peer:
        peer.ask(get(surface, NEARBY))
        assert (await peer.answer())[0].startswith(b"HTTP/1.1 200 ")
        assert peer.was_at_once
        for host in ("Host: evil.example", "Host: localhost\r\nHost: localhost"):
            peer.ask(get(surface, NEARBY).replace(b"Host: localhost", host.encode()))
            assert (await peer.answer())[0].startswith(b"HTTP/1.1 421 ")


async def test_a_defect_is_said_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as surface, connected(surface) as peer:

        def broken(*_: object, **__: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(surface.view, "nearby", broken)
        peer.ask(get(surface, NEARBY))
        head, body = await peer.answer()
        assert head.startswith(b"HTTP/1.1 500 ")
        assert decode(body)["type"] == "urn:latchkey:problem:internal_error"


async def test_each_answer_is_counted_once() -> None:
    async with serving() as surface, connected(surface) as peer:
        for query in ("", "", "&limit=0"):
            peer.ask(get(surface, NEARBY + query))
            await peer.answer()
        assert requests_in(await figures(surface)) == {(nearby.PATH, "2xx"): 2, (nearby.PATH, "4xx"): 1}


async def test_answers_come_in_the_order_of_the_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as surface, connected(surface) as peer:
        asked, may_answer = asyncio.Event(), asyncio.Event()

        async def ping() -> None:
            asked.set()
            await may_answer.wait()

        monkeypatch.setattr(surface.truth, "ping", ping)
        await surface.put(entry(1))
        peer.ask(get(surface, NEARBY), get(surface, "/readyz"))
        assert decode((await peer.answer())[1])["devices"]
        await asked.wait()
        # The wait for another request, which the first answer began, must not end the one that is being answered.
        assert peer.server.timeout_keep_alive_task is None
        peer.ask(get(surface, NEARBY), get(surface, FAR))
        await until_async(lambda: len(peer.server.pipeline) == 2)
        may_answer.set()
        assert decode((await peer.answer())[1])["ready"]
        assert decode((await peer.answer())[1])["devices"]
        assert not decode((await peer.answer())[1])["devices"]


async def test_of_many_in_one_piece_only_the_first_is_answered_at_once() -> None:
    async with serving() as surface, connected(surface) as peer:
        peer.ask(get(surface, NEARBY))
        await peer.answer()
        assert peer.was_at_once
        peer.ask(get(surface, NEARBY) * 3)
        for _ in range(3):
            assert (await peer.answer())[0].startswith(b"HTTP/1.1 200 ")
        assert not peer.was_at_once


async def test_after_an_answer_the_connection_waits_as_ever_for_the_next_request() -> None:
    async with serving() as surface, connected(surface) as peer:
        peer.ask(get(surface, NEARBY))
        await peer.answer()
        server = peer.server
        assert (server._deadline, server.timeout_keep_alive_task is None) == (None, False)
        # The next head has its own time, from its first byte.
        peer.ask(get(surface, NEARBY)[:20])
        await until_async(lambda: server._deadline is not None)
        assert server.timeout_keep_alive_task is None
        peer.ask(get(surface, NEARBY)[20:])
        await peer.answer()
        assert (server._deadline, server.timeout_keep_alive_task is None) == (None, False)
        assert peer.was_at_once
        # And the server that stops waits for nobody.
        server.shutdown()
        async with asyncio.timeout(30):
            assert await peer.reader.read() == b""


async def test_who_takes_nothing_gets_nothing_more_until_it_does() -> None:
    async with serving() as surface, connected(surface) as peer:
        peer.server.flow.pause_writing()
        peer.ask(get(surface, NEARBY))
        await until_async(lambda: not peer.was_at_once)
        assert not peer.server.cycle.response_started
        peer.server.flow.resume_writing()
        assert (await peer.answer())[0].startswith(b"HTTP/1.1 200 ")
