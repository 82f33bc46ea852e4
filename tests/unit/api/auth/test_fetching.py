"""One question, one bounded answer in time, or a failure that names no secret."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from api.auth.fetching import MAX_ANSWER_BYTES, FetchFailed, checked_url, fetch_json

SECRET = {"secret": "a secret in the query"}


@asynccontextmanager
async def server(answer: bytes, *, hold: bool = False) -> AsyncIterator[str]:
    """Says these bytes to everybody; with `hold` it does not end the connection."""

    writers: list[asyncio.StreamWriter] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
            if hold:
                await reader.read()
            writer.close()

    listening = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/keys?x=1"
    for writer in writers:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def ok(body: bytes, *, length: int | None = None) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (
        len(body) if length is None else length,
        body,
    )


@pytest.mark.parametrize(
    "answer",
    [
        ok(b'{"a":1}'),
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{"a\r\n4\r\n":1}\r\n0\r\n\r\n',
        b'HTTP/1.0 200 OK\r\n\r\n{"a":1}',
    ],
)
async def test_an_answer_is_read_however_it_is_framed(answer: bytes) -> None:
    async with server(answer) as url:
        assert await fetch_json(url, {"q": "ü"}) == {"a": 1}


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x00\x01\x02",
        b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n",
        ok(b"not json"),
        ok(b"{", length=100),
        ok(b"[" * 50_000),
        ok(b" " * (MAX_ANSWER_BYTES + 1)),
    ],
)
async def test_anything_else_is_a_failure(answer: bytes) -> None:
    async with server(answer) as url:
        with pytest.raises(FetchFailed) as failed:
            await fetch_json(url, SECRET)
    assert SECRET["secret"] not in str(failed.value)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"])
async def test_who_keeps_us_waiting_is_given_up(answer: bytes) -> None:
    async with server(answer, hold=True) as url:
        with pytest.raises(FetchFailed, match="within"):
            await fetch_json(url, deadline_s=0.1)


async def test_nobody_there() -> None:
    with pytest.raises(FetchFailed):
        await fetch_json("http://127.0.0.1:1/")


async def test_two_questions_share_what_was_prepared_for_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    contexts: list[ssl.SSLContext] = []

    async def nobody(_: str, __: int, *, ssl: ssl.SSLContext) -> None:
        contexts.append(ssl)
        raise ConnectionRefusedError

    monkeypatch.setattr(asyncio, "open_connection", nobody)
    for _ in range(2):
        with pytest.raises(FetchFailed):
            await fetch_json("https://login.example.org/")
    first, second = contexts
    assert first is second
    assert (first.verify_mode, first.check_hostname) == (ssl.CERT_REQUIRED, True)


@pytest.mark.parametrize("url", ["", "ftp://x/", "http:///x", "https://u:p@h/", "http://h/#f", "http://h:x/"])
def test_addresses_that_cannot_be_asked(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        checked_url(url)
