"""A tiny HTTP server on loopback: /livez, /readyz and /metrics."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from gateway.telemetry import REGISTRY

HOST = "127.0.0.1"

MAX_REQUEST_BYTES = 8 * 1024
"""A request line and a scraper's headers."""

REQUEST_WITHIN_S = 5.0
"""A client that says nothing must not hold a connection."""

Reasons = Callable[[], list[str]]
"""Why the process is not ready; empty when it is."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request gets."""

    status: HTTPStatus
    content_type: str
    body: bytes


def answer(request_line: str, reasons: Reasons) -> Answer:
    """The answer to the first line of a request."""
    method, _, rest = request_line.partition(" ")
    path = rest.partition(" ")[0].partition("?")[0]
    if method not in ("GET", "HEAD"):
        return _json(HTTPStatus.METHOD_NOT_ALLOWED, {"error": "only GET"})
    if path == "/livez":
        return _json(HTTPStatus.OK, {"alive": True})
    if path == "/readyz":
        found = reasons()
        status = HTTPStatus.SERVICE_UNAVAILABLE if found else HTTPStatus.OK
        return _json(status, {"ready": not found, "reasons": found})
    if path == "/metrics":
        return Answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(REGISTRY))
    return _json(HTTPStatus.NOT_FOUND, {"error": "only /livez, /readyz and /metrics"})


@asynccontextmanager
async def serving(port: int, reasons: Reasons) -> AsyncIterator[int]:
    """Serves while the block runs; gives the port, which is chosen when `port` is 0."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_WITHIN_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_response(head, reasons))
                await writer.drain()
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.transport.abort()
        finally:
            writer.close()

    server = await asyncio.start_server(serve, HOST, port, limit=MAX_REQUEST_BYTES)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def _json(status: HTTPStatus, body: dict[str, object]) -> Answer:
    return Answer(status, "application/json", json.dumps(body).encode())


def _response(head: bytes, reasons: Reasons) -> bytes:
    request_line = head.partition(b"\r\n")[0].decode("latin-1")
    found = answer(request_line, reasons)
    header = (
        f"HTTP/1.1 {found.status.value} {found.status.phrase}\r\n"
        f"Content-Type: {found.content_type}\r\nContent-Length: {len(found.body)}\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return header.encode() + (b"" if request_line.startswith("HEAD ") else found.body)
