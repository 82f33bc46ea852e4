"""The API on real stores: the map equals Redis, whatever becomes of Redis, and stuck clients go."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psycopg
import pytest
from msgspec.json import encode
from websockets.asyncio.client import ClientConnection, connect

from cli.stack import Stack
from firmware_protocol.codec import Encoding, encode_report
from firmware_protocol.messages import Bolt, DeviceId, Fix, Lock, Report
from firmware_protocol.topics import SHARDS, shard_of
from gateway.core.device import DeviceModel, Kind
from gateway.core.live_state import LiveState, MapEntry, Presence, Reason
from gateway.ports import ShardSteps, Step
from gateway.stores.live_states import RedisLiveStates
from gateway.stores.redis_link import RedisLink
from gateway.stores.registration import NewDevice, bulk_register
from tests.support.processes import ChildProcess, running
from tests.support.waiting import until, until_async
from tests.unit.api.live.entries import entry
from tests.unit.api.live.map_client import MapClient

pytestmark = pytest.mark.e2e

MODEL = DeviceModel(model="city-bike", kind=Kind.BIKE, heartbeat_s=60, quiet_after_s=150, lost_after_s=600)
WATCH = {"type": "watch", "id": 1, "box": [121.4, 31.2, 121.5, 31.3], "availability": "any"}
STOPS_READING_WITHIN_S = 10.0


class Writer:
    """What a gateway does to Redis."""

    def __init__(self, url: str) -> None:
        self._link = RedisLink(url, name="test-writer")
        self._states = RedisLiveStates(self._link)
        self._revisions: dict[DeviceId, int] = {}
        self.epoch = ""

    async def begin(self, epoch: str, entries: list[MapEntry]) -> None:
        self.epoch = epoch
        self._revisions = {one.device_id: 1 for one in entries}
        for shard in range(SHARDS):
            states = {one.device_id: _state(1, one) for one in entries if shard_of(one.device_id) == shard}
            await self._states.rebuild(shard, epoch, states)

    async def put(self, device_id: DeviceId, after: MapEntry | None, *, frame: bytes = b"") -> None:
        before = self._revisions.get(device_id, 0)
        self._revisions[device_id] = before + 1
        step = Step(device_id, before, _state(before + 1, after, frame), True)
        assert not await self._states.advance([ShardSteps(shard_of(device_id), self.epoch, [step])])

    async def close(self) -> None:
        await self._link.close()


def _state(revision: int, after: MapEntry | None, frame: bytes = b"") -> LiveState:
    reasons = after.reasons if after is not None else ((int(Reason.LOST), 1),)
    now_ms = time.time_ns() // 1_000_000
    return LiveState(revision, 0, revision, now_ms, now_ms, Presence.ONLINE, frame, reasons, (), after)


@pytest.fixture
def api(stack: Stack, database: str, redis_url: str, tmp_path: Path) -> Iterator[ChildProcess]:
    with psycopg.connect(database) as connection:
        bulk_register(connection, [MODEL], [NewDevice(DeviceId(name), MODEL.model) for name in ("d1", "d2")])
    with running("api", stack.environment(dsn=database, LATCHKEY_API_PORT="0"), tmp_path) as process:
        yield process


@pytest.fixture
async def writer(redis_url: str) -> AsyncIterator[Writer]:
    one = Writer(redis_url)
    yield one
    await one.close()


def _get(api: ChildProcess, path: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{api.http_port}{path}", trust_env=False, timeout=30)


def _ready(api: ChildProcess) -> bool:
    return _get(api, "/readyz").status_code == 200


async def test_the_map_equals_redis_through_changes_a_lost_redis_and_a_rebuild(
    stack: Stack, api: ChildProcess, writer: Writer
) -> None:
    await writer.begin("one", [entry(number) for number in range(300)])
    await until_async(lambda: _ready(api))
    client = MapClient()
    async with connect(f"ws://127.0.0.1:{api.http_port}/v1/live", proxy=None) as socket_:
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
        await writer.begin("two", [entry(number, at_ms=2) for number in range(50)])
        await _hear(socket_, client, lambda: not client.stale and len(client.devices) == 50)
        assert {device["at"] for device in client.devices.values()} == {2}
    assert _get(api, "/v1/fleet").json()["devices"] == 50


async def test_a_device_is_told_from_redis_and_from_postgresql_while_redis_is_away(
    stack: Stack, api: ChildProcess, writer: Writer
) -> None:
    await writer.begin("one", [])
    report = Report(
        seq=1, fix=Fix(lat_e7=312_304_000, lon_e7=1_214_737_000), lock=Lock(bolt=Bolt.CLOSED), battery_pct=71
    )
    await writer.put(DeviceId("d1"), entry(1), frame=encode_report(report, encoding=Encoding.JSON))
    await until_async(lambda: _ready(api))
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
    api: ChildProcess, writer: Writer
) -> None:
    await writer.begin("one", [entry(number) for number in range(1_000)])
    await until_async(lambda: _ready(api))
    with _stuck(api.http_port) as stuck:
        started_s = time.monotonic()
        await until_async(lambda: "latchkey_api_map_stuck_total 1.0" in _get(api, "/metrics").text)
        assert time.monotonic() - started_s < STOPS_READING_WITHIN_S + 2
        stuck.settimeout(10)
        # The stream ends, with or without a reset: a time-out here would be the failure.
        with suppress(ConnectionResetError):
            while stuck.recv(65_536):
                continue


def test_sigterm_ends_the_process_with_zero_and_tells_its_clients(api: ChildProcess) -> None:
    with _stuck(api.http_port):
        assert api.stop() == 0


def test_another_address_than_loopback_is_refused(stack: Stack, database: str, tmp_path: Path) -> None:
    environment = stack.environment(dsn=database, LATCHKEY_API_HOST="0.0.0.0")
    process = ChildProcess(["api"], environment, tmp_path)
    process.start_without_waiting()
    until(lambda: not process.running)
    assert "no authentication" in process.log_tail()


def _stuck(port: int) -> socket.socket:
    """A map client that says what it wants and never reads."""
    raw = socket.create_connection(("127.0.0.1", port))
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    raw.sendall(
        b"GET /v1/live HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert raw.recv(1_024).startswith(b"HTTP/1.1 101")
    said = encode(WATCH)
    raw.sendall(bytes([0x81, 0x80 | len(said), 0, 0, 0, 0]) + said)
    return raw


async def _hear(socket_: ClientConnection, client: MapClient, enough: Callable[[], object]) -> None:
    """Takes frames until it is enough."""
    async with asyncio.timeout(60):
        while not enough():
            client.take(await socket_.recv())
