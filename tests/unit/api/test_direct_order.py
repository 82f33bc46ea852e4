"""A plain order is answered alike with the framework and without it, and all else is left to the framework."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from api.command_schemas import CLAIM_PATTERN, CommandWish
from api.direct_order import DirectOrders, PlainWish
from api.routes.commands import ORDER_PATH
from api.routing import application
from gateway.ports import StoreUnavailable
from tests.unit.api.routes.test_commands import ORDER, a_bike
from tests.unit.api.surface import Surface

PLAIN = {"kind": "unlock"}


@asynccontextmanager
async def both_ways() -> AsyncIterator[tuple[Surface, httpx.AsyncClient]]:
    """A surface, whose own client meets the direct route first, and a client of the application behind it."""
    async with a_bike() as surface:
        plain = application(lambda _: None, web_dir=None)  # type: ignore[arg-type, return-value]  # never entered

        async def with_world(scope: Any, receive: Any, send: Any) -> None:
            scope["state"] = {"world": surface.world()}
            await plain(scope, receive, send)

        transport = httpx.ASGITransport(app=with_world)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://here", headers=surface.headers()
        ) as slow:
            yield surface, slow


def said(answer: httpx.Response) -> tuple[Any, ...]:
    """All of it that a client may rely on."""
    names = ("content-type", "location", "idempotency-replayed", "www-authenticate")
    return (answer.status_code, answer.json(), *(answer.headers.get(name) for name in names))


async def test_the_same_command_is_told_in_the_same_words() -> None:
    async with both_ways() as (surface, slow):
        key = {"Idempotency-Key": "key-0001"}
        fast_first = await surface.http.post(ORDER, json=PLAIN, headers=key)
        slow_again = await slow.post(ORDER, json=PLAIN, headers=key)
        fast_again = await surface.http.post(ORDER, json=PLAIN, headers=key)
        assert (fast_first.status_code, slow_again.status_code) == (201, 200)
        assert fast_first.content == slow_again.content
        assert said(fast_again) == said(slow_again)


@pytest.mark.parametrize(
    ("path", "headers", "body"),
    [
        (ORDER, {"Idempotency-Key": "key-0001"}, {"kind": "eject", "slot": 1}),
        (ORDER, {"Idempotency-Key": "key-0001"}, {"kind": "unlock", "slot": 4}),
        ("/v1/devices/nobody/commands", {"Idempotency-Key": "key-0001"}, PLAIN),
        (ORDER, {"Idempotency-Key": "key-0001", "Authorization": "Bearer no"}, PLAIN),
        (ORDER, {"Idempotency-Key": "key-0001", "Authorization": "Basic no"}, PLAIN),
    ],
)
async def test_a_refusal_is_the_same_problem(path: str, headers: dict[str, str], body: object) -> None:
    async with both_ways() as (surface, slow):
        one = await surface.http.post(path, json=body, headers=headers)
        assert one.status_code >= 400
        assert said(one) == said(await slow.post(path, json=body, headers=headers))


@pytest.mark.parametrize(
    "wait", ["", "?wait_s=0", "?wait_s=0.01", "?wait_s=0&x=1", "?wait_s=31", "?wait_s=ten"]
)
async def test_how_long_to_wait_is_understood_or_left_to_the_framework(wait: str) -> None:
    async with both_ways() as (surface, slow):
        key = {"Idempotency-Key": "key-0001"}
        await slow.post(ORDER, json=PLAIN, headers=key)
        one, other = [await http.post(ORDER + wait, json=PLAIN, headers=key) for http in (surface.http, slow)]
        assert said(one) == said(other)


async def test_who_asks_too_often_hears_nothing_of_the_device() -> None:
    async with a_bike() as surface:
        statuses = []
        for number in range(21):
            key = {"Idempotency-Key": f"key-{number:04}"}
            unknown = await surface.http.post("/v1/devices/nobody/commands", json=PLAIN, headers=key)
            statuses.append(unknown.status_code)
        assert (statuses[0], statuses[-1]) == (404, 429)


async def test_a_store_that_is_away_and_a_defect_are_problems_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async with both_ways() as (surface, slow):
        surface.interruptions.raise_always("commands.issue", lambda: StoreUnavailable("gone"))
        key = {"Idempotency-Key": "key-0001"}
        one, other = [await http.post(ORDER, json=PLAIN, headers=key) for http in (surface.http, slow)]
        assert said(one) == said(other)
        assert one.headers["retry-after"] == "1"
        surface.interruptions.raise_always("commands.issue", lambda: ZeroDivisionError())
        defect = await surface.http.post(ORDER, json=PLAIN, headers=key)
        assert (defect.status_code, defect.json()["type"]) == (500, "urn:latchkey:problem:internal_error")


async def test_a_body_in_pieces_is_heard_from_its_beginning_by_the_framework() -> None:
    async with a_bike() as surface:

        async def pieces() -> AsyncIterator[bytes]:
            yield b'{"kind":'
            await asyncio.sleep(0)
            yield b'"unlock"}'

        headers = {"Idempotency-Key": "key-0001", "Content-Type": "application/json"}
        answer = await surface.http.post(ORDER, content=pieces(), headers=headers)
        assert answer.status_code == 201


async def test_who_is_not_known_is_told_before_the_body_is_there() -> None:
    async with a_bike() as surface:
        reader, writer = await asyncio.open_connection("127.0.0.1", surface.port)
        head = f"POST {ORDER} HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: key-0001\r\n"
        writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 17\r\n\r\n".encode())
        assert (await asyncio.wait_for(reader.readline(), 30)).split()[1] == b"401"
        writer.close()
        await writer.wait_closed()


async def test_a_body_that_is_far_too_long_for_a_wish_is_the_frameworks() -> None:
    async with a_bike() as surface:
        body = b" " * 70_000 + b'{"kind":"unlock"}'
        headers = {"Idempotency-Key": "key-0001", "Content-Type": "application/json"}
        one = await surface.http.post(ORDER, content=body, headers=headers)
        assert (one.status_code, surface.desk.rows) == (413, {})


async def test_only_orders_are_taken() -> None:
    heard = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        heard.append(scope["path"])

    direct = DirectOrders(app)
    head = [(b"idempotency-key", b"key-0001"), (b"content-type", b"application/json")]
    others: list[dict[str, Any]] = [
        {"type": "lifespan", "path": "life"},
        {"type": "http", "method": "GET", "path": ORDER},
        {"type": "http", "method": "POST", "path": "/v1/devices/a/b/commands"},
        {"type": "http", "method": "POST", "path": "/v1/devices//commands"},
        {"type": "http", "method": "POST", "path": ORDER, "headers": head[1:]},
        {"type": "http", "method": "POST", "path": ORDER, "headers": [head[0], *head]},
        {"type": "http", "method": "POST", "path": ORDER, "headers": head[:1]},
    ]
    for scope in others:
        await direct({"query_string": b"", "headers": head, **scope}, None, None)  # type: ignore[arg-type]  # unused
    assert heard == [scope["path"] for scope in others]
    assert direct.path == ORDER_PATH


_NUMBERS = st.integers(-1, 100) | st.floats(allow_nan=False) | st.booleans() | st.text(max_size=3) | st.none()
_BODIES = st.fixed_dictionaries(
    {"kind": st.sampled_from(["unlock", "lock", "eject", "explode", ""]) | _NUMBERS},
    optional={
        "slot": _NUMBERS,
        "ttl_s": _NUMBERS,
        "claim_id": st.text(max_size=5) | st.from_regex(CLAIM_PATTERN) | _NUMBERS,
        "why": st.text(max_size=2),
        "more": st.none(),
    },
)


@given(body=_BODIES)
def test_whatever_is_understood_as_plain_is_the_same_to_the_framework(body: dict[str, Any]) -> None:
    text = msgspec.json.encode(body)
    try:
        plain = msgspec.json.decode(text, type=PlainWish)
    except msgspec.ValidationError:
        return
    try:
        whole = CommandWish.model_validate_json(text)
    except ValidationError as error:
        raise AssertionError(f"the framework refuses {text!r}") from error
    assert (whole.kind, whole.slot, whole.ttl_s, whole.claim_id) == msgspec.structs.astuple(plain)
    assert (whole.why, whole.override, whole.settings) == ("", [], {})
