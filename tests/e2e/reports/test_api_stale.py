"""A map whose gateway is gone says so, though Redis answers as ever."""

import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest
import redis
from msgspec.json import encode
from websockets.asyncio.client import ClientConnection, connect

from cli.stack import Stack
from firmware_protocol.messages import Fix, Report
from tests.support.gateway_rig import bridge, gateway_rig
from tests.support.hurried_api import JUMP_S, hurried_api, put_ahead
from tests.support.plain_http import NO_TLS
from tests.support.processes import bearer
from tests.support.waiting import until_async

pytestmark = pytest.mark.e2e

Asked = Callable[[], bool | Awaitable[bool | None] | None]
"""What a condition may be, with its type said: it cannot be inferred from a coroutine function."""

STALE_WITHIN_S = 15.0
SLOW_MACHINE_S = 5.0
WATCH = {"type": "watch", "id": 1, "box": [121.4, 31.2, 121.5, 31.3], "availability": "any"}


async def test_a_stopped_gateway_makes_the_map_stale_and_a_started_one_heals_it(
    stack: Stack, database: str, redis_url: str, tmp_path: Path
) -> None:
    with (
        gateway_rig(stack, database, tmp_path / "gateway", devices=1) as rig,
        hurried_api(stack.environment(dsn=database, LATCHKEY_API_PORT="0"), tmp_path / "api") as api,
    ):
        address = f"127.0.0.1:{api.http_port}"

        def get(path: str) -> httpx.Response:
            return httpx.get(
                f"http://{address}{path}", headers=bearer(api), trust_env=False, verify=NO_TLS, timeout=30
            )

        with bridge(stack) as devices:
            devices.report(rig.devices[0], Report(seq=1, fix=Fix(lat_e7=312_500_000, lon_e7=1_214_500_000)))
            await until_async(lambda: get("/readyz").status_code == 200)
        async with connect(f"ws://{address}/v1/live", proxy=None, additional_headers=bearer(api)) as client:
            await client.send(encode(WATCH).decode())
            await _until_stale(client, False)
            assert rig.process.stop() == 0
            stopped_s = time.monotonic()
            await until_async(lambda: _has_read_all(redis_url))
            put_ahead(api)
            await _until_stale(client, True)
            assert JUMP_S + time.monotonic() - stopped_s < STALE_WITHIN_S + SLOW_MACHINE_S
            await until_async(lambda: "no gateway speaks for shards 00 01" in get("/readyz").text)
            assert get("/readyz").status_code == 503
            assert get("/v1/nearby?lat=31.25&lon=121.45").json()["stale"]
            rig.process.start()
            await _until_stale(client, False)
            await until_async(lambda: get("/readyz").status_code == 200)


def _has_read_all(redis_url: str) -> bool:
    """Whether the API waits for news: then it has heard the last words of the gateway."""
    with redis.Redis.from_url(redis_url) as client:
        links = [one for one in client.client_list() if one["name"] == "latchkey-api-feed"]
    return any("b" in one["flags"] for one in links)


async def _until_stale(client: ClientConnection, stale: bool) -> None:
    """Takes frames until one says so."""

    async def said() -> bool:
        return bool(json.loads(await client.recv())["stale"] is stale)

    asked: Asked = said
    await until_async(asked)
