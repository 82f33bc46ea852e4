"""The benchmark `map-latency`: how much later than bare sockets a report stands on a map."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from mqtt5 import ConnectPacket
from websockets.asyncio.client import ClientConnection, connect

from bench.child import child
from bench.frames import FrameTemplate
from bench.generator import Publisher, Sent, encoded_topic
from bench.load_rig import LoadRig, load_rig
from bench.result import Result, percentile
from bench.round_trip import HttpConnection
from cli.child_process import ChildProcess
from cli.stack import Stack
from firmware_protocol.codec import decode_report
from firmware_protocol.topics import report_topic

PROBES = 20
"""Devices that move with every report; they are the last of the load fleet, which the load leaves alone."""
PROBE_EVERY_S = 0.02
LOAD_RATE_PER_S = 3_000
LOAD_DEVICES = 5_000
BOX = (103.0, 1.0, 105.0, 2.0)
"""West, south, east, north: the whole load fleet, so that its moves go to the same client."""
STEP_E7 = 10_000
"""About 110 m: far beyond what counts as noise."""
GIVE_UP_S = 10.0


class Stopwatch:
    """When each probe left and when each watcher saw it; a probe is known by its latitude."""

    def __init__(self) -> None:
        self.sent_s: dict[int, float] = {}
        self.ours_s: dict[int, float] = {}
        self.floor_s: dict[int, float] = {}

    async def follow_map(self, socket: ClientConnection) -> None:
        """Our map: JSON frames, positions in degrees."""
        async for frame in socket:
            now_s = time.perf_counter()
            changes = msgspec.json.decode(frame)
            for device in (*changes.get("shown", ()), *changes.get("moved", ())):
                self._saw(self.ours_s, round(device["lat"] * 1e7), now_s)

    async def follow_relay(self, socket: ClientConnection) -> None:
        """The bare relay: the report itself."""
        async for frame in socket:
            now_s = time.perf_counter()
            assert isinstance(frame, bytes)
            fix = decode_report(frame).fix
            assert fix is not None
            self._saw(self.floor_s, fix.lat_e7, now_s)

    def _saw(self, seen: dict[int, float], lat_e7: int, now_s: float) -> None:
        if lat_e7 in self.sent_s:
            seen.setdefault(lat_e7, now_s)

    def all_seen(self) -> bool:
        return len(self.ours_s) == len(self.floor_s) == len(self.sent_s)


def measure(stack: Stack, folder: Path, *, seconds: float) -> Result:
    """`seconds` for each of the two conditions: idle, and with 3,000 reports a second."""
    result = Result("map-latency")
    with ExitStack() as until_done:
        rig = until_done.enter_context(
            load_rig(stack, folder, devices=LOAD_DEVICES, registered=LOAD_DEVICES + PROBES)
        )
        api = ChildProcess(["api"], rig.gateway.environment, folder)
        until_done.callback(api.close)
        api.start()
        with HttpConnection(api.http_port) as http:
            http.wait_ready(60)
        url = f"ws://127.0.0.1:{api.http_port}/v1/live"
        _note(result, "idle", uvloop.run(_probe(rig, url, seconds=seconds, first=1)))
        load = rig.next_load(rate_per_s=LOAD_RATE_PER_S, seconds=seconds + 4)
        with rig.generating(load) as generator:
            begin_rows = rig.count_rows()
            generator.say("go")
            watched = uvloop.run(_probe(rig, url, seconds=seconds, first=100_000))
            sent = msgspec.json.decode(generator.read_line(seconds + 120), type=Sent)
            rig.wait_rows(begin_rows + sent.sent + len(watched.sent_s))
        _note(result, "loaded", watched)
        rows, distinct = rig.rows_of(load)
        result.check("every report of the load is stored once", rows == distinct >= sent.sent, f"{rows} rows")
    return result


def _note(result: Result, when: str, watch: Stopwatch) -> None:
    """Percentiles of both ways, and of the difference probe by probe."""
    both = [probe for probe in watch.sent_s if probe in watch.ours_s and probe in watch.floor_s]
    result.check(
        f"{when}: every probe reached both watchers",
        len(both) == len(watch.sent_s) > 0,
        f"{len(watch.ours_s)} on the map, {len(watch.floor_s)} bare, of {len(watch.sent_s)}",
    )
    ours = sorted((watch.ours_s[probe] - watch.sent_s[probe]) * 1000 for probe in both)
    floor = sorted((watch.floor_s[probe] - watch.sent_s[probe]) * 1000 for probe in both)
    added = sorted((watch.ours_s[probe] - watch.floor_s[probe]) * 1000 for probe in both)
    for share in (50, 99):
        result.metrics[f"{when}_p{share}_ms"] = percentile(ours, share / 100)
        result.metrics[f"{when}_added_p{share}_ms"] = percentile(added, share / 100)
        result.floors[f"{when}_p{share}_ms"] = percentile(floor, share / 100)
        result.ratio(f"{when}_p{share}", f"{when}_p{share}_ms", f"{when}_p{share}_ms")
    for share, bound_ms in ((50, 3.0), (99, 20.0)):
        value = result.metrics[f"{when}_added_p{share}_ms"]
        result.check(f"{when}: added p{share} under {bound_ms:.0f} ms", value < bound_ms, f"{value:.2f} ms")


async def _probe(rig: LoadRig, url: str, *, seconds: float, first: int) -> Stopwatch:
    """Sends one probe after the other while both watchers follow."""
    ids = [rig.base.device_id(LOAD_DEVICES + index) for index in range(PROBES)]
    broker = rig.stack.broker
    arguments = ["-m", "bench.bare_relay", "127.0.0.1", str(broker.internal_port)]
    arguments += [broker.bridge_user, broker.bridge_password, *(report_topic(device) for device in ids)]
    watch = Stopwatch()
    async with AsyncExitStack() as until_done:
        relay = until_done.enter_context(child(arguments, rig.gateway.environment, rig.folder / "relay.log"))
        relay_port = int(await asyncio.to_thread(relay.read_line))
        who = {"Authorization": f"Bearer {rig.stack.token('operator_admin')}"}
        for where, follow in ((url, watch.follow_map), (f"ws://127.0.0.1:{relay_port}", watch.follow_relay)):
            socket = await until_done.enter_async_context(
                connect(where, compression=None, max_size=None, additional_headers=who)
            )
            if where is url:
                request: Mapping[str, Any] = {"type": "watch", "id": 1, "box": BOX, "zoom": 9}
                await socket.send(msgspec.json.encode({**request, "availability": "any"}).decode())
            _start(until_done, follow, socket)
        publisher = await _publisher(rig)
        until_done.callback(publisher.transport.close)
        await _send_probes(rig, watch, publisher, seconds=seconds, first=first)
        deadline_s = time.perf_counter() + GIVE_UP_S
        while not watch.all_seen() and time.perf_counter() < deadline_s:
            await asyncio.sleep(0.01)
    return watch


def _start(
    until_done: AsyncExitStack,
    follow: Callable[[ClientConnection], Awaitable[None]],
    socket: ClientConnection,
) -> None:
    task = asyncio.ensure_future(follow(socket))
    until_done.callback(task.cancel)


async def _publisher(rig: LoadRig) -> Publisher:
    broker, sent = rig.stack.broker, Sent(to_send=0)
    _, publisher = await asyncio.get_running_loop().create_connection(
        lambda: Publisher(sent, asyncio.Event()), "127.0.0.1", broker.internal_port
    )
    packet = ConnectPacket(
        "map-probe", username=broker.bridge_user, password=broker.bridge_password.encode(), clean_start=True
    )
    publisher.transport.write(packet.write())
    if await publisher.connected:
        raise ConnectionError("the broker refused the probe's connection")
    return publisher


async def _send_probes(
    rig: LoadRig, watch: Stopwatch, publisher: Publisher, *, seconds: float, first: int
) -> None:
    template = FrameTemplate(boot=rig.boot, keep=False)
    topics = [
        encoded_topic(report_topic(rig.base.device_id(LOAD_DEVICES + index))) for index in range(PROBES)
    ]
    begin_s = time.perf_counter()
    for number in range(int(seconds / PROBE_EVERY_S)):
        due_s = begin_s + number * PROBE_EVERY_S
        await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
        lat_e7 = 15_000_001 + number % 400 * STEP_E7 + (number // 400) * 7 + (first > 1) * 3
        frame = template.fill(
            seq=first + number,
            elapsed_ms=time.time_ns() // 1_000_000 - rig.boot * 1000,
            lat_e7=lat_e7,
            lon_e7=1_040_000_000,
        )
        # When it was due, not when it was written: no coordinated omission.
        watch.sent_s[lat_e7] = due_s
        publisher.publish(topics[number % PROBES], frame)
