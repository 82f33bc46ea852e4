"""The WebSocket edge: frames arrive, stuck clients go, nothing a client sends breaks it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import websockets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.json import decode, encode
from websockets.asyncio.client import ClientConnection, connect

from api.auth.principal import Principal
from api.live import socket as edge
from api.live.close_codes import TRY_LATER
from api.live.entrance import MAX_OF_ONE_RIDER, PATH, Entrance
from api.live.frames import MAX_CLIENT_FRAME_BYTES
from firmware_protocol.messages import DeviceId
from tests.support.stuck_client import upgrade
from tests.support.waiting import until_async
from tests.unit.api.live.entries import entry
from tests.unit.api.live.map_client import MapClient
from tests.unit.api.surface import Surface, serving

WATCH: dict[str, Any] = {"type": "watch", "id": 1, "box": [121.4, 31.2, 121.5, 31.3]}


@pytest.fixture
async def surface() -> AsyncIterator[Surface]:
    async with serving() as running:
        yield running


def _map(surface: Surface) -> connect:
    url = f"ws://127.0.0.1:{surface.port}{PATH}"
    return connect(url, proxy=None, additional_headers=surface.headers())


async def _said(client: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(30):
        said: dict[str, Any] = decode(await client.recv())
        return said


async def test_a_client_sees_a_device_come_move_and_go(surface: Surface) -> None:
    async with _map(surface) as client:
        await client.send(encode(WATCH).decode())
        assert (await _said(client))["count"] == 0
        await surface.put(entry(1))
        assert (await _said(client))["shown"][0]["id"] == "p1"
        await surface.put(entry(1, lat_e7=312_500_000))
        assert (await _said(client))["moved"][0]["lat"] == 31.25
        await surface.put_state(DeviceId("d1"), None)
        await surface.follow()
        told = await _said(client)
        assert (told["vanished"], told["count"]) == (["p1"], 0)


async def test_a_client_that_reads_slowly_gets_fewer_frames_and_ends_with_the_truth(surface: Surface) -> None:
    client_view = MapClient()
    async with _map(surface) as client:
        await client.send(encode({**WATCH, "availability": "any"}).decode())
        client_view.take(await client.recv())
        for turn in range(1, 201):
            await surface.put(entry(turn % 5, at_ms=turn))
        while {device["at"] for device in client_view.devices.values()} != {196, 197, 198, 199, 200}:
            async with asyncio.timeout(30):
                client_view.take(await client.recv())


async def test_a_client_that_stops_reading_is_closed_and_others_are_not(
    surface: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge, "STUCK_AFTER_S", 0.3)
    for number in range(2_000):
        await surface.put_state(DeviceId(f"d{number}"), entry(number))
    await surface.follow()
    async with _map(surface) as healthy:
        await healthy.send(encode(WATCH).decode())
        raw = await _upgraded(surface)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(raw, _masked(encode(WATCH)))
        await until_async(lambda: len(surface.hub.sockets) == 2)
        # Not one byte is read: the kernel's buffers fill, then the connection must go.
        await until_async(lambda: surface.hub.closed_stuck == 1, deadline_s=60)
        raw.close()
        count = 0
        while count < 2_000:
            count = (await _said(healthy))["count"]
        assert len(surface.hub.sockets) == 1


async def test_a_client_that_answers_no_ping_is_closed(
    surface: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge, "STUCK_AFTER_S", 0.3)
    monkeypatch.setattr(edge, "PING_WHILE_SILENT_S", 0.0)
    raw = await _upgraded(surface)
    await until_async(lambda: surface.hub.closed_stuck == 1, deadline_s=60)
    raw.close()
    await until_async(lambda: not surface.hub.sockets)


async def test_a_frame_that_is_too_large_or_binary_ends_the_conversation(surface: Surface) -> None:
    for frame in ("x" * (MAX_CLIENT_FRAME_BYTES + 1), b"\x00"):
        async with _map(surface) as client:
            await client.send(frame)
            with pytest.raises(websockets.ConnectionClosed):
                await client.recv()
    await until_async(lambda: not surface.hub.sockets)


async def test_a_message_in_fragments_is_heard_whole(surface: Surface) -> None:
    async with _map(surface) as client:
        text = encode(WATCH).decode()
        await client.send(iter([text[:10], text[10:30], text[30:]]))
        assert (await _said(client))["type"] == "snapshot"


async def test_other_paths_are_no_live_map(surface: Surface) -> None:
    with pytest.raises(websockets.InvalidStatus) as caught:
        async with connect(f"ws://127.0.0.1:{surface.port}/v1/other", proxy=None):
            raise AssertionError("unreachable")
    assert caught.value.response.status_code == 404


async def test_a_full_process_says_try_again(surface: Surface, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "MAX_SESSIONS", 0)
    with pytest.raises(websockets.InvalidStatus) as caught:
        async with _map(surface):
            raise AssertionError("unreachable")
    assert caught.value.response.headers["Retry-After"] == "1"


async def test_those_who_come_at_once_do_not_all_find_the_last_place(
    surface: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked for once it is known who asks, which takes them all a while."""
    monkeypatch.setattr(edge, "MAX_SESSIONS", 1)
    gate, identify = asyncio.Event(), Entrance.identify
    asking = 0
    answered: list[int] = []

    async def slowly(entrance: Entrance, token: str) -> Principal:
        nonlocal asking
        asking += 1
        await gate.wait()
        return await identify(entrance, token)

    monkeypatch.setattr(Entrance, "identify", slowly)

    async def come() -> None:
        """Whoever is let in stays until all are answered."""
        try:
            async with _map(surface):
                answered.append(101)
                await until_async(lambda: len(answered) == 4)
        except websockets.InvalidStatus as refused:
            answered.append(refused.response.status_code)

    coming = [asyncio.ensure_future(come()) for _ in range(4)]
    await until_async(lambda: asking == 4)
    gate.set()
    await asyncio.gather(*coming)
    assert sorted(answered) == [101, 503, 503, 503]


async def test_a_rider_has_only_so_many_maps(surface: Surface) -> None:
    """Others have none the less; each that ends makes room for another, and a fresh token takes no second place."""
    url, rider = f"ws://127.0.0.1:{surface.port}{PATH}", surface.headers("rider")
    async with AsyncExitStack() as open_ones:
        clients = [
            await open_ones.enter_async_context(connect(url, proxy=None, additional_headers=rider))
            for _ in range(MAX_OF_ONE_RIDER)
        ]
        token = rider["Authorization"].removeprefix("Bearer ")
        await clients[0].send(encode({"type": "hello", "token": token}).decode())
        await clients[0].send(encode(WATCH).decode())
        assert (await _said(clients[0]))["type"] == "snapshot"
        with pytest.raises(websockets.InvalidStatus) as caught:
            await connect(url, proxy=None, additional_headers=rider)
        assert caught.value.response.status_code == 429
        async with connect(url, proxy=None) as late:
            await late.send(encode({"type": "hello", "token": token}).decode())
            with pytest.raises(websockets.ConnectionClosed):
                await late.recv()
            assert late.close_code == TRY_LATER
        async with _map(surface):
            pass
        await clients[0].close()
        await until_async(lambda: len(surface.hub.sockets) == MAX_OF_ONE_RIDER - 1)
        async with connect(url, proxy=None, additional_headers=rider):
            pass


frames = st.lists(st.one_of(st.text(max_size=50), st.just(encode(WATCH).decode())), max_size=5)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frames)
async def test_nothing_a_client_says_breaks_the_server(frames: list[str]) -> None:
    async with serving() as surface, _map(surface) as client:
        for frame in frames:
            await client.send(frame)
        await client.send(encode({**WATCH, "id": 77}).decode())
        kinds: list[tuple[str, int | None]] = []
        while not kinds or kinds[-1] != ("snapshot", 77):
            said = await _said(client)
            kinds.append((said["type"], said["id"]))
        assert {kind for kind, _ in kinds} <= {"snapshot", "refused"}


async def _upgraded(surface: Surface) -> socket.socket:
    """A bare connection with a small receive buffer, upgraded by hand."""
    loop = asyncio.get_running_loop()
    raw = socket.socket()
    raw.setblocking(False)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    await loop.sock_connect(raw, ("127.0.0.1", surface.port))
    await loop.sock_sendall(raw, upgrade(surface.token()))
    assert (await loop.sock_recv(raw, 4_096)).startswith(b"HTTP/1.1 101")
    return raw


def _masked(text: bytes) -> bytes:
    """A client's text frame with a mask of zeros."""
    assert len(text) < 126
    return bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text
