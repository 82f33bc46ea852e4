"""Ingest when the gateway is killed under load, and when a whole fleet greets at once."""

import asyncio
import struct
import time
from typing import cast

import uvloop
from mqtt5 import ConnectPacket, QoS, SubscribePacket, TopicFilter
from msgspec.structs import replace

from bench.gateway_counts import read_counts
from bench.generator import Load, encoded_topic
from bench.load_rig import LOAD_MODEL, LoadRig
from bench.result import Result, percentile
from firmware_protocol.codec import Encoding, encode_hello
from firmware_protocol.messages import Hello
from firmware_protocol.topics import hello_topic

OUTAGE_S = 1.5
LIVE_WITHIN_S = 0.25
"""Whoever is this close behind the load follows it live."""
STORM_CONNECTIONS = 50
"""A storm of greetings is measured, not one of TCP connections: those would be the broker's own."""


def first_report(rig: LoadRig, result: Result) -> None:
    """How long from exec until the row of a report that waited with the broker is committed."""
    rig.gateway.stop()
    load = rig.next_load(rate_per_s=100, seconds=0.01)
    with rig.generating(load) as generator:
        generator.say("go")
        generator.read_line(60)
    before_rows, began_s = rig.count_rows(), time.monotonic()
    rig.gateway.start_without_waiting()
    rig.wait_rows(before_rows + 1, poll_s=0.005)
    took_s = time.monotonic() - began_s
    rig.gateway.wait_ready()
    result.metrics["exec_to_first_stored_s"] = took_s
    result.check("exec to first stored report under 1.5 s", took_s < 1.5, f"{took_s:.2f} s")


def kill_and_catch_up(rig: LoadRig, result: Result, *, rate_per_s: float) -> None:
    """kill -9 in the middle of a load; how long from the restart until the gateway follows live again."""
    load = rig.next_load(rate_per_s=rate_per_s, seconds=10)
    expected = int(rate_per_s * 10)
    with rig.generating(load) as generator:
        begin_rows, began_s = rig.count_rows(), time.monotonic()
        generator.say("go")
        time.sleep(3)  # into the load
        rig.gateway.kill()
        killed_s = time.monotonic()
        time.sleep(OUTAGE_S / 2)  # for a commit that was on its way
        stored = rig.count_rows() - begin_rows
        time.sleep(max(0.0, OUTAGE_S - (time.monotonic() - killed_s)))  # the rest of the outage
        restarted_s = time.monotonic()
        rig.gateway.start()
        ready_s = time.monotonic()
        # The new process counts what it stores itself: asking history would cost the one who catches up.
        while stored + read_counts(rig.gateway.http_port).stored_rows < min(
            expected, (time.monotonic() - began_s - LIVE_WITHIN_S) * rate_per_s
        ):
            if time.monotonic() - ready_s > 60:
                break
            time.sleep(0.02)  # a poll
        caught_up_s = time.monotonic()
        sent = generator.read_line(180)
        rig.wait_rows(begin_rows + expected)
    rows, distinct = rig.rows_of(load)
    result.metrics["restart_to_ready_s"] = ready_s - restarted_s
    result.metrics["caught_up_after_ready_s"] = caught_up_s - ready_s
    result.check(
        "kill -9: nothing lost, nothing doubled", rows == distinct == expected, f"{rows}/{expected} {sent}"
    )
    took_s = caught_up_s - restarted_s
    result.check(
        "kill -9: caught up within 3 s", took_s < 3.0, f"{took_s:.2f} s from exec, while load goes on"
    )


class _Greeter(asyncio.Protocol):
    """One connection that greets for many devices and counts the welcomes."""

    def __init__(self, welcomed: list[float], all_welcomed: asyncio.Event, expected: int) -> None:
        self._welcomed = welcomed
        self._all = all_welcomed
        self._expected = expected
        self._rest = b""
        self.subscribed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        buffer, at = self._rest + data, 0
        # MQTT 5 section 2.1.4: no packet that comes here is longer than 127 bytes.
        while len(buffer) - at >= 2 and len(buffer) - at >= 2 + buffer[at + 1]:
            kind = buffer[at] & 0xF0
            if kind == 0x30:
                self._welcomed.append(time.monotonic())
                if len(self._welcomed) == self._expected:
                    self._all.set()
            elif kind == 0x90:
                self.subscribed.set_result(None)
            at += 2 + buffer[at + 1]
        self._rest = buffer[at:]


async def _storm(load: Load) -> tuple[list[float], float]:
    loop = asyncio.get_running_loop()
    welcomed: list[float] = []
    all_welcomed = asyncio.Event()
    greeters = []
    for index in range(STORM_CONNECTIONS):
        _, greeter = await loop.create_connection(
            lambda: _Greeter(welcomed, all_welcomed, load.devices), load.host, load.port
        )
        connect = ConnectPacket(
            f"storm-{index}", username=load.username, password=load.password.encode(), clean_start=True
        )
        mine = [load.device_id(device) for device in range(index, load.devices, STORM_CONNECTIONS)]
        filters = [
            TopicFilter(hello_topic(device_id).removesuffix("hello") + "welcome", max_qos=QoS.AT_MOST_ONCE)
            for device_id in mine
        ]
        greeter.transport.write(connect.write() + SubscribePacket(1, filters).write())
        greeters.append((greeter, mine))
    await asyncio.gather(*(greeter.subscribed for greeter, _ in greeters))
    begin_s = time.monotonic()
    for number, (greeter, mine) in enumerate(greeters):
        for packet_id, device_id in enumerate(mine, start=1):
            hello = Hello(power_on_id=(number + 1) * 1_000_000 + packet_id, model=LOAD_MODEL.model)
            body = encoded_topic(hello_topic(device_id)) + struct.pack(">HB", packet_id, 0)
            body += encode_hello(hello, encoding=Encoding.CBOR)
            greeter.transport.write(b"\x32" + bytes((len(body),)) + body)
    async with asyncio.timeout(60):
        await all_welcomed.wait()
    for greeter, _ in greeters:
        greeter.transport.close()
    return welcomed, begin_s


def hello_storm(rig: LoadRig, result: Result, *, devices: int) -> None:
    """All devices greet in one moment; each must be welcomed with a boot number that is committed."""
    welcomed, begin_s = uvloop.run(_storm(replace(rig.base, devices=devices)))
    took_s = sorted(at_s - begin_s for at_s in welcomed)
    result.metrics["hello_storm_p50_s"] = percentile(took_s, 0.5)
    result.metrics["hello_storm_last_s"] = took_s[-1]
    result.check(
        f"{devices} hellos at once are answered within 5 s",
        len(took_s) == devices and took_s[-1] < 5.0,
        f"last after {took_s[-1]:.2f} s",
    )
