"""The reader pages through histories, splits maps that are too full, and says what it cannot read."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from device_sim.audit import Seen
from device_sim.audit_reader import Api as Asked
from device_sim.audit_reader import AuditUnreadable, read_devices, read_map
from device_sim.movement import Area

AREA = Area(1.2, 103.6, 1.5, 104.1)
TLS_HANDSHAKE = b"\x16"
NOW = datetime(2026, 1, 2, tzinfo=UTC)


class Api(BaseHTTPRequestHandler):
    """Knows device D1 and its three reports, on two pages."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if "/history" in self.path:
            second = "after=two" in self.path
            seqs = [3] if second else [1, 2]
            points = [{"boot": 5, "seq": seq, "at": "x"} for seq in seqs]
            self.answer(200, {"device_id": "D1", "points": points, "next": None if second else "two"})
        elif self.path == "/v1/devices/D1":
            self.answer(200, {"id": "D1", "public_id": "p", "presence": "online", "more": 1})
        elif self.path == "/v1/devices/broken":
            self.answer(503, {"title": "away"})
        else:
            self.answer(404, {})

    def answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Silence."""


@contextmanager
def http_api() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_pages_of_history_are_put_together() -> None:
    with http_api() as url:
        seen = await read_devices(Asked(url), ["D1", "D2"], now=NOW)
    assert seen["D2"] == Seen(None, ())
    assert seen["D1"].history == [(5, 1), (5, 2), (5, 3)]
    assert seen["D1"].device is not None
    assert seen["D1"].device.public_id == "p"


async def test_an_api_that_refuses_or_is_away_is_said() -> None:
    with http_api() as url, pytest.raises(AuditUnreadable, match="503"):
        await read_devices(Asked(url), ["broken"], now=NOW)
    with pytest.raises(AuditUnreadable):
        await read_devices(Asked(url), ["D1"], now=NOW)
    with pytest.raises(AuditUnreadable):
        await read_map(Asked(url), AREA)


def first_bytes(listener: socket.socket, into: list[bytes]) -> None:
    """What the first caller says; then it is hung up on."""
    caller, _ = listener.accept()
    with caller:
        into.append(caller.recv(1000))


async def test_an_https_address_is_asked_under_tls_and_never_in_the_clear() -> None:
    said: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=first_bytes, args=(listener, said))
        thread.start()
        api = Asked(f"https://127.0.0.1:{listener.getsockname()[1]}", "SECRET")
        with pytest.raises(AuditUnreadable):
            await read_devices(api, ["D1"], now=NOW)
        thread.join()
    assert said[0][:1] == TLS_HANDSHAKE
    assert b"SECRET" not in said[0]


@pytest.mark.parametrize("address", ["ftp://127.0.0.1", "127.0.0.1:8080", "http://", "http://host:port"])
async def test_what_is_no_address_is_said(address: str) -> None:
    with pytest.raises(AuditUnreadable, match="is no address"):
        await read_devices(Asked(address), ["D1"], now=NOW)


DEVICES = {f"p{n}": (1.21 + n * 0.028, 103.61 + n * 0.048) for n in range(10)}


async def crowded(socket: ServerConnection) -> None:
    """A map that shows at most four devices at once, two per frame."""
    async for text in socket:
        watch = json.loads(text)
        west, south, east, north = watch["box"]
        inside = [
            {"id": name, "lat": lat, "lon": lon, "kind": "bike"}
            for name, (lat, lon) in DEVICES.items()
            if south <= lat <= north and west <= lon <= east
        ]
        if len(inside) > 4:
            await socket.send(
                json.dumps({"type": "refused", "id": watch["id"], "reason": "too_many_devices"})
            )
            continue
        await socket.send(json.dumps({"type": "changes", "id": watch["id"] - 1, "vanished": [], "count": 99}))
        kind, field = "snapshot", "devices"
        for first in range(0, max(1, len(inside)), 2):
            more = first + 2 < len(inside)
            count = min(first + 2, len(inside))
            frame = {"type": kind, "id": watch["id"], field: inside[first : first + 2], "count": count}
            await socket.send(json.dumps(frame | {"more": more}))
            kind, field = "changes", "shown"


async def test_a_full_map_is_read_in_parts() -> None:
    async with serve(crowded, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        shown = await read_map(Asked(f"http://127.0.0.1:{port}", "a token"), AREA)
    assert set(shown) == set(DEVICES)
