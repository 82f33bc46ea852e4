"""What one connection can make the server keep or wait for once its headers are read: no more than a body's worth."""

import asyncio
from collections.abc import Callable

import pytest

from api import guarded_http
from api.guarded_http import MAX_WAITING, GuardedHttp
from tests.support.waiting import until_async
from tests.unit.api.surface import Surface, serving

ENROL = b"POST /v1/enrol HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
LIVEZ = b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n"
UPGRADE = (
    b"GET /v1/live HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)


async def _written_until_it_ends(port: int, head: bytes, piece: bytes, seen: Callable[[], None]) -> None:
    """Writes the piece again and again until the server closes."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head)
    try:
        async with asyncio.timeout(60):
            while True:
                writer.write(piece)
                await writer.drain()
                # The server is in this very loop.
                await asyncio.sleep(0)
                seen()
    except ConnectionError:
        # As it should be. Whoever is never closed runs into the time limit.
        pass
    finally:
        writer.close()


def _kept(surface: Surface, of: Callable[[GuardedHttp], int]) -> int:
    return max((of(one) for one in surface.connections if isinstance(one, GuardedHttp)), default=0)


async def test_trailers_are_neither_kept_nor_read_without_end() -> None:
    piece = b"".join(b"a%d: b\r\n" % number for number in range(1_000))
    most = 0
    async with serving() as surface:

        def seen() -> None:
            nonlocal most
            most = max(most, _kept(surface, lambda one: len(one.headers or ())))

        begun = ENROL + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
        await _written_until_it_ends(surface.port, begun, piece, seen)
    assert most < 100


async def test_requests_that_nobody_waits_for_are_not_queued_without_end() -> None:
    most = 0
    async with serving() as surface:

        def seen() -> None:
            nonlocal most
            most = max(most, _kept(surface, lambda one: len(one.pipeline)))

        await _written_until_it_ends(surface.port, b"", LIVEZ * 10_000, seen)
    assert most <= MAX_WAITING


async def test_after_an_answer_nothing_is_read_while_others_wait() -> None:
    async with serving() as surface:
        reader, writer = await asyncio.open_connection("127.0.0.1", surface.port)
        writer.write(LIVEZ * MAX_WAITING)
        await until_async(lambda: _kept(surface, lambda one: len(one.pipeline)) > 0)
        # As many again: read while those wait, they would be too many.
        writer.write(LIVEZ * MAX_WAITING)
        for _ in range(2 * MAX_WAITING):
            assert (await reader.readuntil(b"ok\n")).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_a_body_that_never_comes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded_http, "BODY_WITHIN_S", 0.05)
    async with serving() as surface:
        reader, writer = await asyncio.open_connection("127.0.0.1", surface.port)
        writer.write(ENROL + b"Content-Length: 10\r\n\r\n{")
        async with asyncio.timeout(60):
            assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
        writer.close()


async def test_the_bytes_of_a_body_are_not_counted_as_the_next_head() -> None:
    async with serving() as surface:
        reader, writer = await asyncio.open_connection("127.0.0.1", surface.port)
        writer.write(ENROL + b"Content-Length: 20000\r\n\r\n" + b" " * 10_000)
        await writer.drain()
        await until_async(lambda: _kept(surface, lambda one: int(one._in_body)) == 1)
        writer.write(b" " * 10_000)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        writer.write(LIVEZ[:-10])
        await writer.drain()
        await until_async(lambda: _kept(surface, lambda one: int(one._in_head and one._part_bytes > 0)) == 1)
        writer.write(LIVEZ[-10:])
        assert (await reader.readuntil(b"ok\n")).startswith(b"HTTP/1.1 200 OK")
        writer.close()


@pytest.mark.parametrize("origin", [b"http://[", b"http://[::1", b"http://a]b"])
async def test_a_malformed_origin_is_refused_and_costs_no_place(
    monkeypatch: pytest.MonkeyPatch, origin: bytes
) -> None:
    monkeypatch.setattr(guarded_http, "max_connections", lambda: 5)
    async with serving() as surface:
        for _ in range(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", surface.port)
            writer.write(UPGRADE + b"Origin: " + origin + b"\r\n\r\n")
            async with asyncio.timeout(60):
                assert (await reader.read()).startswith(b"HTTP/1.1 403 ")
            writer.close()


async def test_an_upgrade_that_fails_costs_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> bool:
        raise ValueError("a defect")

    monkeypatch.setattr(guarded_http, "max_connections", lambda: 5)
    async with serving() as surface:
        monkeypatch.setattr("api.live.entrance.Entrance.refusal", broken)
        for _ in range(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", surface.port)
            writer.write(UPGRADE + b"\r\n")
            async with asyncio.timeout(60):
                assert not (await reader.read()).startswith(b"HTTP/1.1 101 ")
            writer.close()
        assert (await surface.http.get("/livez")).text == "ok\n"
