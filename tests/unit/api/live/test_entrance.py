"""What a map conversation needs to begin and to go on, over real sockets."""

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from msgspec import structs
from msgspec.json import decode, encode
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from api.auth.api_keys import new_key
from api.auth.doors import doors_of
from api.live import admission, hub
from api.live.close_codes import TRY_LATER, UNAUTHENTICATED
from gateway.people import KnownKey
from tests.support.waiting import until_async
from tests.unit.api.live.entries import entry
from tests.unit.api.surface import NOW_MS, Surface, serving

WATCH: dict[str, Any] = {"type": "watch", "id": 1, "box": [121.4, 31.2, 121.5, 31.3]}
MAY_GROW_BYTES = 8 * 1024 * 1024


@pytest.fixture
async def surface() -> AsyncIterator[Surface]:
    doors = doors_of("127.0.0.1", hosts=[], origins=["https://app.example"], proxies=[])
    async with serving(doors=doors) as running:
        yield running


def live(surface: Surface, query: str = "", **headers: str) -> connect:
    url = f"ws://127.0.0.1:{surface.port}/v1/live{query}"
    return connect(url, proxy=None, additional_headers=headers)


async def say(client: ClientConnection, **frame: Any) -> None:
    await client.send(encode(frame).decode())


async def closed_with(client: ClientConnection) -> int | None:
    async with asyncio.timeout(30):
        while True:
            try:
                await client.recv()
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else None


async def status_of(attempt: connect) -> int:
    with pytest.raises(InvalidStatus) as refused:
        async with attempt:
            raise AssertionError("unreachable")
    return refused.value.response.status_code


async def test_a_hello_begins_the_conversation_and_what_follows_it_at_once_is_heard(surface: Surface) -> None:
    await surface.put(entry(1))
    async with live(surface) as client:
        await say(client, type="hello", token=surface.token("rider"))
        await say(client, **WATCH)
        assert decode(await client.recv())["count"] == 1


async def test_a_key_begins_one_too_and_ends_it_when_it_is_revoked(
    surface: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "KEYS_AGAIN_S", 0.05)
    made = new_key()
    known = KnownKey(made.key_id, 1, "service", "wall", made.secret_hash, NOW_MS)
    surface.people.keys[made.key_id] = known
    watching = asyncio.create_task(surface.hub.watch_keys())
    async with live(surface) as client:
        await say(client, type="hello", token=made.key)
        await say(client, **WATCH)
        assert decode(await client.recv())["type"] == "snapshot"
        surface.people.is_away = True
        surface.clock.advance(ms=61_000)
        await client.ping()
        surface.people.is_away = False
        surface.people.keys[made.key_id] = structs.replace(known, revoked_ms=NOW_MS)
        surface.clock.advance(ms=6_000)
        assert await closed_with(client) == UNAUTHENTICATED
    watching.cancel()


@pytest.mark.parametrize(
    "frame",
    [WATCH, {"type": "unwatch"}, {"type": "hello"}, {"type": "hello", "token": ""}, "what?", 7],
)
async def test_anything_before_a_hello_ends_it_at_once(surface: Surface, frame: object) -> None:
    async with live(surface) as client:
        await client.send(encode(frame).decode())
        assert await closed_with(client) == UNAUTHENTICATED
    await until_async(lambda: not surface.hub.sockets)


async def test_a_token_of_nobody_ends_it_at_once(surface: Surface) -> None:
    for token in ("x", "a.b.c", surface.token(life_s=-60), "lk_abcdefghijkl_" + "A" * 43):
        async with live(surface) as client:
            await say(client, type="hello", token=token)
            await say(client, **WATCH)
            assert await closed_with(client) == UNAUTHENTICATED


async def test_who_says_nothing_is_closed(surface: Surface, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "HELLO_WITHIN_S", 0.1)
    async with live(surface) as client:
        assert await closed_with(client) == UNAUTHENTICATED


async def test_while_nobody_can_be_known_it_says_come_back_later(surface: Surface) -> None:
    surface.people.is_away = True
    key = "lk_abcdefghijkl_" + "A" * 43
    async with live(surface) as client:
        await say(client, type="hello", token=key)
        assert await closed_with(client) == TRY_LATER
    assert await status_of(live(surface, Authorization=f"Bearer {key}")) == 503


async def test_an_expired_token_ends_the_conversation_unless_a_fresh_one_was_told(surface: Surface) -> None:
    async with live(surface) as one, live(surface) as other:
        for client in (one, other):
            await say(client, type="hello", token=surface.token("rider", life_s=60))
            await say(client, **WATCH)
            assert decode(await client.recv())["type"] == "snapshot"
        await say(other, type="hello", token=surface.token("rider", life_s=600))
        await say(other, **(WATCH | {"id": 2}))
        assert decode(await other.recv())["id"] == 2
        surface.clock.advance(ms=61_000)
        # A sweep is twice a second.
        async with asyncio.timeout(5):
            assert await closed_with(one) == UNAUTHENTICATED
        await say(other, **(WATCH | {"id": 3}))
        assert decode(await other.recv())["id"] == 3


async def test_a_token_taken_back_ends_the_conversation(surface: Surface) -> None:
    async with live(surface, **surface.headers("staff", subject="ann")) as client:
        surface.people.taken_back = {(1, "ann"): NOW_MS + 1}
        await surface.gate.look()
        async with asyncio.timeout(5):
            assert await closed_with(client) == UNAUTHENTICATED


async def test_a_fresh_token_of_somebody_else_ends_it(surface: Surface) -> None:
    for other in (surface.token("staff", operator_id=2), surface.token("rider")):
        async with live(surface, **surface.headers("staff")) as client:
            await say(client, type="hello", token=other)
            assert await closed_with(client) == UNAUTHENTICATED


async def test_a_map_shows_ones_own_operator_and_riders_what_they_can_rent(surface: Surface) -> None:
    await surface.put(entry(1))
    await surface.put(entry(2, available=False))
    await surface.put(structs.replace(entry(3), operator_id=2))
    counts: dict[str, object] = {}
    for name, headers, availability in (
        ("staff", surface.headers("staff"), "any"),
        ("rider", surface.headers("rider"), "available"),
        ("theirs", surface.headers("staff", operator_id=2), "any"),
        ("curious rider", surface.headers("rider"), "any"),
    ):
        async with live(surface, **headers) as client:
            await say(client, **(WATCH | {"availability": availability}))
            said = decode(await client.recv())
            counts[name] = said.get("count", said.get("reason"))
    assert counts == {"staff": 2, "rider": 1, "theirs": 1, "curious rider": "not_allowed"}


@pytest.mark.parametrize("name", ["token", "access_token", "Token", "api_key", "authorization"])
async def test_a_token_in_the_address_is_refused(surface: Surface, name: str) -> None:
    query = f"?{name}={surface.token()}"
    assert await status_of(live(surface, query, **surface.headers())) == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Authorization": "Basic YTpi"}, 401),
        ({"Authorization": "Bearer nobody"}, 401),
    ],
)
async def test_what_is_wrong_with_the_request_gets_no_socket(
    surface: Surface, headers: dict[str, str], status: int
) -> None:
    assert await status_of(live(surface, **headers)) == status


async def test_a_page_of_ours_and_a_listed_one_may_open_it(surface: Surface) -> None:
    for origin in (f"http://127.0.0.1:{surface.port}", "https://app.example"):
        async with live(surface, Origin=origin, **surface.headers("rider")) as client:
            await say(client, **WATCH)
            assert decode(await client.recv())["type"] == "snapshot"


async def test_a_name_that_was_pointed_at_this_machine_is_refused(surface: Surface) -> None:
    async def said(request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", surface.port)
        writer.write(request)
        async with asyncio.timeout(30):
            answer = await reader.readuntil(b"\r\n")
        writer.close()
        return answer

    upgrade = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    upgrade += b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    asked = b"GET /v1/live HTTP/1.1\r\nHost: evil.example\r\n" + upgrade + b"\r\n"
    assert (await said(asked)).startswith(b"HTTP/1.1 421 ")
    plain = b"GET /v1/fleet HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    assert (await said(plain)).startswith(b"HTTP/1.1 421 ")


async def test_a_thousand_watches_and_hellos_are_a_nuisance_to_nobody(surface: Surface) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    for kind in ("watch", "hello"):
        async with live(surface, **surface.headers("rider")) as client:
            frame = WATCH if kind == "watch" else {"type": "hello", "token": surface.token("rider")}
            with suppress(ConnectionClosed):
                for _ in range(1_000):
                    await say(client, **frame)
            await asyncio.wait_for(client.wait_closed(), 30)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before < MAY_GROW_BYTES
    await until_async(lambda: not surface.hub.sockets)
