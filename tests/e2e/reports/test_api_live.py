"""The API on real stores: the map equals Redis, whatever becomes of Redis, and stuck clients go."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import psycopg
import pytest
from msgspec.json import encode
from websockets.asyncio.client import ClientConnection, connect

from cli.stack import Stack
from cli.tokens import token_of
from firmware_protocol.codec import Encoding, encode_report
from firmware_protocol.messages import Bolt, DeviceId, Fix, Lock, Report
from gateway.core.device import DeviceModel, Kind
from gateway.stores.registration import NewDevice, bulk_register
from tests.support.plain_http import NO_TLS
from tests.support.processes import ChildProcess, bearer, running
from tests.support.redis_writer import RedisWriter
from tests.support.stuck_client import read_to_the_end, stuck_client
from tests.support.waiting import until, until_async
from tests.unit.api.live.entries import entry
from tests.unit.api.live.map_client import MapClient

pytestmark = pytest.mark.e2e

MODEL = DeviceModel(model="city-bike", kind=Kind.BIKE, heartbeat_s=60, quiet_after_s=150, lost_after_s=600)
WATCH = {"type": "watch", "id": 1, "box": [121.4, 31.2, 121.5, 31.3], "availability": "any"}
STOPS_READING_WITHIN_S = 10.0


@pytest.fixture(scope="module")
def process(
    stack: Stack, shared_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ChildProcess]:
    """One for all tests of this file, which begin every shard anew; it listens beyond loopback too."""
    with psycopg.connect(shared_database) as connection:
        bulk_register(connection, [MODEL], [NewDevice(DeviceId(name), MODEL.model) for name in ("d1", "d2")])
    environment = stack.environment(dsn=shared_database, LATCHKEY_API_HOST="0.0.0.0")
    with running("api", environment, tmp_path_factory.mktemp("api")) as started:
        yield started


@pytest.fixture
def api(process: ChildProcess) -> ChildProcess:
    """Started again where a test ended it."""
    return process if process.running else process.start()


@pytest.fixture
async def writer(stack: Stack) -> AsyncIterator[RedisWriter]:
    one = RedisWriter(stack.redis.url())
    yield one
    await one.close()


def _get(api: ChildProcess, path: str) -> httpx.Response:
    return httpx.get(
        f"http://127.0.0.1:{api.http_port}{path}",
        headers=bearer(api),
        trust_env=False,
        verify=NO_TLS,
        timeout=30,
    )


def _ready(api: ChildProcess) -> bool:
    return _get(api, "/readyz").status_code == 200


async def test_the_map_equals_redis_through_changes_a_lost_redis_and_a_rebuild(
    stack: Stack, api: ChildProcess, writer: RedisWriter
) -> None:
    await writer.begin("a map", [entry(number) for number in range(300)])
    await _fills_its_map(api, 300)
    client = MapClient()
    async with connect(
        f"ws://127.0.0.1:{api.http_port}/v1/live", proxy=None, additional_headers=bearer(api)
    ) as socket_:
        await socket_.send(encode(WATCH).decode())
        await _hear(socket_, client, lambda: len(client.devices) == 300)
        await writer.put(DeviceId("d7"), None)
        await writer.put(DeviceId("d8"), entry(8, available=False))
        await writer.put(DeviceId("d9"), entry(9, lat_e7=0))
        await _hear(
            socket_, client, lambda: len(client.devices) == 298 and not client.devices["p8"]["available"]
        )
        stack.redis.kill()
        await _hear(socket_, client, lambda: client.stale)
        assert len(client.devices) == 298
        assert not _ready(api)
        assert "stale" in _get(api, "/v1/nearby?lat=31.23&lon=121.47").text
        stack.redis.start()
        await writer.begin("a map again", [entry(number, at_ms=2) for number in range(50)])
        await _hear(socket_, client, lambda: not client.stale and len(client.devices) == 50)
        assert {device["at"] for device in client.devices.values()} == {2}
    assert _get(api, "/v1/fleet").json()["devices"] == 50


async def test_a_device_is_told_from_redis_and_from_postgresql_while_redis_is_away(
    stack: Stack, api: ChildProcess, writer: RedisWriter
) -> None:
    await writer.begin("one device", [])
    report = Report(
        seq=1, fix=Fix(lat_e7=312_304_000, lon_e7=1_214_737_000), lock=Lock(bolt=Bolt.CLOSED), battery_pct=71
    )
    await writer.put(DeviceId("d1"), entry(1), frame=encode_report(report, encoding=Encoding.JSON))
    await _fills_its_map(api, 1)
    told = _get(api, "/v1/devices/d1").json()
    assert (told["battery_pct"], told["presence"], told["stale"]) == (71, "online", False)
    assert _get(api, f"/v1/devices/{told['public_id']}").json()["id"] == "d1"
    assert [one["id"] for one in _get(api, "/v1/devices").json()["devices"]] == ["d1", "d2"]
    assert _get(api, "/v1/devices/d1/history").json()["points"] == []
    assert _get(api, "/v1/quarantine").json()["frames"] == []
    near = _get(api, "/v1/nearby?lat=31.2304&lon=121.4737").json()
    assert [(one["id"], one["distance_m"]) for one in near["devices"]] == [("p1", 0.0)]
    stack.redis.kill()
    away = until(lambda: (answer := _get(api, "/v1/devices/d1")).json()["stale"] and answer)
    assert away.status_code == 200
    stack.redis.start()


async def test_a_client_that_stops_reading_is_closed_within_ten_seconds(
    api: ChildProcess, writer: RedisWriter
) -> None:
    await writer.begin("much to say", [entry(number) for number in range(1_000)])
    await _fills_its_map(api, 1_000)
    closed = _closed_stuck(api)
    with stuck_client(api.http_port, token_of(api.environment), WATCH) as stuck:
        started_s = time.monotonic()
        await until_async(lambda: _closed_stuck(api) == closed + 1)
        assert time.monotonic() - started_s < STOPS_READING_WITHIN_S + 2
        read_to_the_end(stuck)


def test_sigterm_ends_the_process_with_zero_and_tells_its_clients(api: ChildProcess) -> None:
    with stuck_client(api.http_port, token_of(api.environment), WATCH):
        assert api.stop() == 0


def test_beyond_loopback_it_says_that_tls_must_stand_in_front(api: ChildProcess) -> None:
    assert _get(api, "/v1/fleet").status_code == 200
    assert (
        httpx.get(f"http://127.0.0.1:{api.http_port}/v1/fleet", trust_env=False, verify=NO_TLS).status_code
        == 401
    )
    assert "tls_must_stand_in_front" in api.log_path.read_text()


async def _fills_its_map(api: ChildProcess, devices: int) -> None:
    """Returns when it shows what was written last, and nothing of before."""
    await until_async(
        lambda: _ready(api) and _get(api, "/v1/fleet").json()["devices"] == devices, what=f"{devices} devices"
    )


def _closed_stuck(api: ChildProcess) -> float:
    (value,) = re.findall(r"^latchkey_api_map_stuck_total (\S+)$", _get(api, "/metrics").text, re.MULTILINE)
    return float(value)


async def _hear(socket_: ClientConnection, client: MapClient, enough: Callable[[], object]) -> None:
    """Takes frames until it is enough."""
    async with asyncio.timeout(60):
        while not enough():
            client.take(await socket_.recv())
