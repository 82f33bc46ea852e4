"""Three pages, and no patience with clients that say nothing."""

import asyncio
import json
from contextlib import suppress

import pytest

from gateway import health
from gateway.health import HOST, answer, serving


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET /livez HTTP/1.1", 200),
        ("HEAD /readyz HTTP/1.1", 200),
        ("GET /metrics?x=1 HTTP/1.1", 200),
        ("GET /other HTTP/1.1", 404),
        ("POST /livez HTTP/1.1", 405),
        ("", 405),
    ],
)
def test_every_request_line_has_an_answer(line: str, status: int) -> None:
    assert answer(line, list).status == status


def test_a_gateway_that_is_not_ready_says_why() -> None:
    found = answer("GET /readyz HTTP/1.1", lambda: ["Redis away"])
    assert found.status == 503
    assert json.loads(found.body) == {"ready": False, "reasons": ["Redis away"]}


def test_metrics_name_what_is_counted() -> None:
    body = answer("GET /metrics HTTP/1.1", list).body
    assert b'latchkey_reports_total{outcome="advanced"}' in body
    assert b"process_resident_memory_bytes" in body


async def ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(request)
    try:
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def test_it_serves_on_a_free_port_and_cuts_the_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(0, list) as port:
        got = await ask(port, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        head, _, body = got.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert json.loads(body) == {"alive": True}
        monkeypatch.setattr(health, "REQUEST_WITHIN_S", 0.01)
        assert await ask(port, b"GET /livez") == b""
        assert await ask(port, b"x" * 100_000) == b""
