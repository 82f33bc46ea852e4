"""What a hostile HTTP peer gets: a problem or the end of its connection, and nobody else waits for it."""

import asyncio
from pathlib import Path

import pytest
from msgspec.json import decode
from msgspec.structs import replace
from websockets.asyncio.client import connect

from api import guarded_http
from api.guarded_http import MAX_HEAD_BYTES, MAX_WAITING
from firmware_protocol.messages import DeviceId
from tests.support.stuck_client import masked, upgrade
from tests.support.waiting import until_async
from tests.unit.api.live.entries import entry
from tests.unit.api.surface import Surface, known, serving


async def _asked(surface: Surface, *sent: bytes) -> bytes:
    """Everything the server says until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", surface.port)
    for part in sent:
        writer.write(part)
        await writer.drain()
    async with asyncio.timeout(30):
        try:
            answer = await reader.read()
        except ConnectionResetError:
            answer = b""
    writer.close()
    return answer


def _get(path: str, *headers: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: here", *headers, "Connection: close", "", ""]
    return "\r\n".join(lines).encode()


async def test_a_head_that_is_too_large_is_refused_whole_or_in_parts() -> None:
    async with serving() as surface:
        bombs = [
            (_get("/livez?x=" + "y" * MAX_HEAD_BYTES),),
            (_get("/livez", "Cookie: " + "c" * MAX_HEAD_BYTES),),
            (_get("/livez", *(f"X-{n}: {n}" for n in range(4_000))),),
            (b"GET /livez HTTP/1.1\r\nX: ", *(b"x" * 4_096 for _ in range(8))),
        ]
        for bomb in bombs:
            answer = await _asked(surface, *bomb)
            assert answer.startswith(b"HTTP/1.1 431 "), answer[:80]
            assert decode(answer.partition(b"\r\n\r\n")[2])["type"].endswith(":head_too_large")
        assert (await surface.http.get("/livez")).text == "ok\n"


async def test_many_small_requests_in_one_write_are_not_one_large_head() -> None:
    async with serving() as surface:
        one = b"GET /livez HTTP/1.1\r\nHost: here\r\nX: %s\r\n\r\n" % (b"x" * 1_000)
        answer = await _asked(surface, one * MAX_WAITING, _get("/livez"))
        assert answer.count(b"HTTP/1.1 200 OK") == MAX_WAITING + 1


@pytest.mark.parametrize(
    "dribble", [b"", b"GET /livez HT", b"GET /livez HTTP/1.1\r\nHost: h\r\n", b"\r\n", _get("/")[:-2]]
)
async def test_a_head_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch, dribble: bytes) -> None:
    monkeypatch.setattr(guarded_http, "HEAD_WITHIN_S", 0.05)
    async with serving() as surface:
        assert (await _asked(surface, dribble)).startswith(b"HTTP/1.1 408 ")


def _map(surface: Surface) -> connect:
    return connect(f"ws://127.0.0.1:{surface.port}/v1/live", additional_headers=surface.headers())


async def test_a_map_connection_outlives_the_deadline_of_a_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded_http, "HEAD_WITHIN_S", 1.0)
    async with serving() as surface, _map(surface) as socket:
        # Opened later, so when its time is up, so is that of the map connection's head.
        assert (await _asked(surface, b"GET /livez HT")).startswith(b"HTTP/1.1 408 ")
        await (await socket.ping())
        await socket.send('{"type":"unwatch"}')
        await (await socket.ping())


async def test_the_rest_of_an_unwanted_body_keeps_no_connection_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded_http, "HEAD_WITHIN_S", 0.05)
    async with serving() as surface:
        reader, writer = await asyncio.open_connection("127.0.0.1", surface.port)
        writer.write(b"POST /livez HTTP/1.1\r\nHost: here\r\nContent-Length: 50000\r\n\r\n")
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 405 ")
        writer.write(b"more")
        async with asyncio.timeout(30):
            await reader.read()
        writer.close()


async def test_above_the_bound_connections_are_dropped_and_those_that_stand_are_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving() as surface:
        assert (await surface.http.get("/livez")).status_code == 200
        monkeypatch.setattr(guarded_http, "max_connections", lambda: 20)
        reader, writer = await asyncio.open_connection("127.0.0.1", surface.port)
        crowd = [await asyncio.open_connection("127.0.0.1", surface.port) for _ in range(30)]
        ended = [asyncio.create_task(one.read()) for one, _ in crowd]
        await until_async(lambda: sum(one.done() for one in ended) >= 10)
        writer.write(_get("/livez"))
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
        for _, other in crowd:
            other.close()
        await asyncio.wait(ended)
        for one in ended:
            one.exception()
        writer.close()


async def _ask_and_never_read(writer: asyncio.StreamWriter) -> None:
    async with asyncio.timeout(30):
        while True:
            writer.write(b"GET /openapi.json HTTP/1.1\r\nHost: here\r\n\r\n" * 100)
            await writer.drain()
            await asyncio.sleep(0)


async def test_who_takes_nothing_of_an_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded_http, "TAKEN_WITHIN_S", 0.05)
    async with serving() as surface:
        _, writer = await asyncio.open_connection("127.0.0.1", surface.port, limit=1_024)
        with pytest.raises(ConnectionError):
            await _ask_and_never_read(writer)
        writer.close()


NEARBY = "/v1/nearby?lat=31.23&lon=121.47"
HISTORY = "/v1/devices/d1/history?"
ABSURD = [
    *(f"{NEARBY}&radius_m={text}" for text in ("nan", "inf", "1e309", "-1", "0", "10001", "")),
    *(f"{NEARBY}&limit={text}" for text in ("0", "201", "1e9", "%D9%A1", "9" * 400)),
    *(f"{NEARBY}&{text}" for text in ("kinds=%00", "kinds=" + "a," * 900, "min_battery_pct=-1")),
    *(
        f"/v1/nearby?lat={lat}&lon={lon}"
        for lat, lon in (("nan", "nan"), ("inf", "0"), ("91", "0"), ("%00", "1"))
    ),
    *(f"{HISTORY}to={text}" for text in ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00%2B23:59", "inf", "0")),
    *(f"{HISTORY}from={text}" for text in ("9999-12-31T23:59:59-23:59", "nan", "-1e308", "9" * 30)),
    *(f"{HISTORY}{text}" for text in ("limit=" + "9" * 30, "limit=0", "step=1s", "after=" + "x" * 300)),
    *("/v1/devices/%00", "/v1/devices/" + "a" * 5_000, "/v1/devices/%F0%9F%9A%B2"),
    *("/v1/devices?after=%00", "/v1/devices?after=" + "a" * 65, "/v1/devices?limit=0"),
    *("/v1/quarantine?before=" + "9" * 30, "/v1/quarantine?before=-1"),
]


async def test_absurd_values_are_refused_with_a_small_problem() -> None:
    async with serving() as surface:
        surface.truth.registered = [known("d1")]
        for path in ABSURD:
            answer = await _asked(surface, _get(path, f"Authorization: Bearer {surface.token()}"))
            head, _, body = answer.partition(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 422 "), (path, answer[:80])
            assert b"application/problem+json" in head
            assert decode(body)["status"] == 422
            assert len(answer) < 2_000, path


ESCAPES = [
    *(
        "/../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/assets/..%2f..%2fsecret",
        "/..%5csecret",
        "/%00",
        "//etc/passwd",
    ),
    *("/%2fetc%2fpasswd", "/index.html%00.js", "/link", "/%ff%fe", "/" + "a" * 300, "/" + "a/" * 3_000),
]


async def test_no_path_leads_out_of_the_page(tmp_path: Path) -> None:
    web_dir = tmp_path / "web"
    (web_dir / "assets").mkdir(parents=True)
    (web_dir / "index.html").write_text("the page")
    (tmp_path / "secret").write_text("TOP SECRET")
    (web_dir / "link").symlink_to(tmp_path / "secret")
    async with serving(web_dir=web_dir) as surface:
        assert b"the page" in await _asked(surface, _get("/"))
        for path in ESCAPES:
            answer = await _asked(surface, _get(path))
            assert answer.startswith(b"HTTP/1.1 404 "), (path, answer[:80])
            assert b"TOP SECRET" not in answer
            assert len(answer) < 2_000, path


async def test_no_device_id_is_in_any_public_answer() -> None:
    async with serving() as surface:
        surface.truth.registered = [known("bolted-0001")]
        await surface.put(replace(entry(1), device_id=DeviceId("bolted-0001")))
        assert "p1" in (await surface.http.get(NEARBY)).text
        for path in (
            NEARBY,
            f"{NEARBY}&availability=any",
            "/v1/fleet",
            f"{NEARBY}&kinds=p1",
            "/v1/devices/p2",
        ):
            assert "bolted" not in (await surface.http.get(path)).text


async def test_a_map_conversation_outlives_the_deadline_of_a_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded_http, "HEAD_WITHIN_S", 0.02)
    async with serving() as surface:
        reader, writer = await asyncio.open_connection("127.0.0.1", surface.port)
        writer.write(upgrade(surface.token()))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        # Another connection's head runs out meanwhile, and for that one only.
        assert (await _asked(surface, b"GET")).startswith(b"HTTP/1.1 408 ")
        assert (await _asked(surface, b"GET")).startswith(b"HTTP/1.1 408 ")
        writer.write(masked(9))
        assert await reader.readexactly(2) == b"\x8a\x00"
        writer.close()
