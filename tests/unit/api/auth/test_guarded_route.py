"""Who may not ask is refused before anything else of the request is read."""

import asyncio

import pytest
from fastapi import APIRouter

from api.routing import _refuse_unguarded
from tests.unit.api.surface import serving


async def test_nobody_is_told_to_log_in_before_their_body_has_arrived() -> None:
    async with serving() as surface:
        reader, writer = await asyncio.open_connection("127.0.0.1", surface.port)
        writer.write(
            b"POST /v1/devices/d1/commands HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n{"
        )
        async with asyncio.timeout(30):
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 401 ")
        writer.close()


async def test_another_method_is_said_to_be_one_whoever_asks() -> None:
    async with serving() as surface:
        refused = await surface.http.delete("/v1/devices/d1/commands", headers={"Authorization": ""})
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, POST")


def test_a_router_that_would_ask_nobody_keeps_the_api_from_starting() -> None:
    router = APIRouter()
    router.add_api_route("/v1/forgotten", lambda: None)
    with pytest.raises(TypeError, match="GuardedRoute"):
        _refuse_unguarded(router)
