"""A hundred map clients under two thousand changes a second: the stuck go, the others end with the truth."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import httpx
import pytest
from msgspec.json import encode
from websockets.asyncio.client import connect

from cli.stack import Stack
from cli.tokens import token_of
from gateway.core.live_state import MapEntry
from tests.support.plain_http import NO_TLS
from tests.support.processes import ChildProcess, bearer, running
from tests.support.redis_writer import RedisWriter, write_at_a_rate
from tests.support.stuck_client import stuck_client
from tests.support.waiting import until_async
from tests.unit.api.live.entries import entry
from tests.unit.api.live.map_client import MapClient

pytestmark = pytest.mark.e2e

Asked = Callable[[], bool | Awaitable[bool | None] | None]
"""What a condition may be, with its type said: it cannot be inferred from a coroutine function."""

DEVICES, STREETS = 1_000, 20
HEALTHY, STUCK = 90, 10
BATCH = 100
BATCHES_PER_S = 20.0
CLOSED_WITHIN_S = 10.0
SLOW_MACHINE_S = 3.0
BYTES_PER_CLIENT = 256 * 1024
"""Its socket buffers are the kernel's; what the process keeps is the watch, the outbox and one frame."""
SHARED_BYTES = 32 * 1024 * 1024
"""The devices' JSON that all clients share, and the tables of the first changes."""

EVERYWHERE = {"type": "watch", "id": 1, "box": [121.0, 31.0, 122.0, 32.0], "availability": "any"}


def _fleet(turn: int) -> list[MapEntry]:
    """All devices, on streets 0.01 degrees apart; `turn` is the time of their last report."""
    return [
        entry(number, lat_e7=312_000_000 + number % STREETS * 100_000, lon_e7=1_214_000_000, at_ms=turn)
        for number in range(DEVICES)
    ]


def _changes(enough: asyncio.Event) -> Iterator[Sequence[MapEntry]]:
    turn = 1
    while not enough.is_set():
        turn += 1
        fleet = _fleet(turn)
        yield from (fleet[start : start + BATCH] for start in range(0, DEVICES, BATCH))


async def _read(api: ChildProcess, street: int, client: MapClient, begun: list[int]) -> None:
    south = 31.195 + street * 0.01
    watch = {"type": "watch", "id": 1, "box": [121.3, south, 121.5, south + 0.01], "availability": "any"}
    async with connect(
        f"ws://127.0.0.1:{api.http_port}/v1/live", proxy=None, additional_headers=bearer(api)
    ) as socket_:
        await socket_.send(encode(watch).decode())
        begun.append(street)
        async for frame in socket_:
            client.take(frame)


async def _is_ready(http: httpx.AsyncClient) -> bool:
    return (await http.get("/readyz")).status_code == 200


async def _tells(http: httpx.AsyncClient, series: str) -> bool:
    return series in (await http.get("/metrics")).text


def _has_the_last_values(client: MapClient) -> bool:
    times = [device["at"] for device in client.devices.values()]
    return len(times) == DEVICES // STREETS and set(times) == {2**40}


def _rss_bytes(pid: int) -> int:
    line = next(
        one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("VmRSS")
    )
    return int(line.split()[1]) * 1024


async def test_the_stuck_are_closed_and_the_healthy_end_with_the_last_value_of_every_device(
    stack: Stack, database: str, redis_url: str, tmp_path: Path
) -> None:
    writer = RedisWriter(redis_url)
    await writer.begin("one", _fleet(1))
    environment = stack.environment(dsn=database, LATCHKEY_API_PORT="0")
    clients = [MapClient() for _ in range(HEALTHY)]
    begun: list[int] = []
    enough = asyncio.Event()
    with running("api", environment, tmp_path) as api, ExitStack() as stuck:
        async with (
            asyncio.TaskGroup() as group,
            httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{api.http_port}", trust_env=False, verify=NO_TLS, timeout=30
            ) as http,
        ):
            ready: Asked = partial(_is_ready, http)
            await until_async(ready)
            before_bytes = _rss_bytes(api.pid)
            readers = [
                group.create_task(_read(api, number % STREETS, client, begun))
                for number, client in enumerate(clients)
            ]
            await until_async(lambda: len(begun) == HEALTHY)
            flow = group.create_task(write_at_a_rate(writer, _changes(enough), batches_per_s=BATCHES_PER_S))
            token = token_of(api.environment)
            for _ in range(STUCK):
                stuck.enter_context(await asyncio.to_thread(stuck_client, api.http_port, token, EVERYWHERE))
            stuck_at_s = time.monotonic()
            all_closed: Asked = partial(_tells, http, f"latchkey_api_map_stuck_total {STUCK}.0")
            await until_async(all_closed)
            assert time.monotonic() - stuck_at_s < CLOSED_WITHIN_S + SLOW_MACHINE_S
            grown_bytes = _rss_bytes(api.pid) - before_bytes
            enough.set()
            await flow
            for start in range(0, DEVICES, BATCH):
                await writer.put_all(_fleet(2**40)[start : start + BATCH])
            await until_async(lambda: all(map(_has_the_last_values, clients)))
            assert await _tells(http, f"latchkey_api_map_sessions {HEALTHY}.0")
            for reader in readers:
                reader.cancel()
    assert grown_bytes < (HEALTHY + STUCK) * BYTES_PER_CLIENT + SHARED_BYTES, grown_bytes
    await writer.close()
