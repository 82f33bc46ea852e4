"""A JSON answer of another server over HTTP: one request, one deadline, a bounded answer, never a second try."""

import asyncio
import ssl
from collections.abc import Mapping
from functools import cache
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import httptools
import msgspec

MAX_ANSWER_BYTES = 64 * 1024
"""A key set of a large provider has 10 KiB, a login answer 300 bytes."""

DEADLINE_S = 3.0
"""A person waits for it."""

_PORTS: Final = {"http": 80, "https": 443}


class FetchFailed(Exception):
    """The other server did not give a good answer in time. The sentence names no query: secrets stand in those."""


class _Answer:
    """What the parser tells."""

    def __init__(self) -> None:
        self.body = bytearray()
        self.is_complete = False

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.is_complete = True


def checked_url(url: str) -> str:
    """The URL itself. Raises ValueError unless it is http or https with a host."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname or parts.username or parts.fragment:
        raise ValueError("looks like https://host/path")
    _ = parts.port
    return url


async def fetch_json(
    url: str, query: Mapping[str, str] | None = None, *, deadline_s: float = DEADLINE_S
) -> Any:
    """The decoded JSON of a GET. Raises FetchFailed."""
    host = urlsplit(url).hostname or ""
    try:
        async with asyncio.timeout(deadline_s):
            body = await _get(url, query or {})
        return msgspec.json.decode(body)
    except TimeoutError as error:
        raise FetchFailed(f"{host} did not answer within {deadline_s:g} s") from error
    except (OSError, EOFError, httptools.HttpParserError) as error:
        raise FetchFailed(f"{host}: {type(error).__name__}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FetchFailed(f"{host} answered with something that is not JSON") from error


@cache
def _tls() -> ssl.SSLContext:
    """Made once per process: it reads all authorities of the machine, while everybody else waits."""
    return ssl.create_default_context()


async def _get(url: str, query: Mapping[str, str]) -> bytes:
    parts = urlsplit(url)
    target = (
        (parts.path or "/")
        + "?" * bool(parts.query or query)
        + "&".join(filter(None, (parts.query, urlencode(query))))
    )
    tls = _tls() if parts.scheme == "https" else None
    host = parts.hostname or ""
    reader, writer = await asyncio.open_connection(host, parts.port or _PORTS[parts.scheme], ssl=tls)
    try:
        head = f"GET {target} HTTP/1.1\r\nhost: {parts.netloc}\r\naccept: application/json\r\nconnection: close\r\n\r\n"
        writer.write(head.encode("ascii"))
        return await _read(reader, host)
    finally:
        writer.transport.abort()


async def _read(reader: asyncio.StreamReader, host: str) -> bytes:
    answer = _Answer()
    parser = httptools.HttpResponseParser(answer)
    taken = 0
    while not answer.is_complete:
        data = await reader.read(16 * 1024)
        if not data:
            # Without a length the end of the stream is the end of the body; msgspec tells a cut one.
            break
        taken += len(data)
        if taken > MAX_ANSWER_BYTES:
            raise FetchFailed(f"{host} answered with more than {MAX_ANSWER_BYTES} bytes")
        parser.feed_data(data)
    if taken == 0 or parser.get_status_code() != 200:
        raise FetchFailed(f"{host} answered with status {parser.get_status_code() if taken else 'nothing'}")
    return bytes(answer.body)
