"""An open-loop load of QoS 1 reports over many connections, as cheap as Python allows."""

import asyncio
import json
import struct
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import suppress
from typing import cast

import msgspec
import uvloop
from mqtt5 import ConnectPacket
from msgspec import Struct

from bench.frames import FrameTemplate
from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import report_topic

TICK_S = 0.001
"""Reports that are due within one tick are written in one turn of the loop, each in a write of its own."""

_CONNACK, _PUBACK = 0x20, 0x40


class Load(Struct, frozen=True):
    """What to send, and to whom."""

    host: str
    port: int
    username: str
    password: str
    connections: int
    devices: int
    rate_per_s: float
    seconds: float
    boot: int
    first_seq: int = 1
    keep_share: float = 0.05
    move_share: float = 0.09
    prefix: str = "load"

    def device_id(self, index: int) -> DeviceId:
        return DeviceId(f"{self.prefix}-{index:06d}")


class Sent(Struct):
    """What came of it; complete when every report was acknowledged."""

    to_send: int
    sent: int = 0
    acknowledged: int = 0
    unmatched: int = 0
    """PUBACK 0x10: no gateway session existed."""
    refused: int = 0
    late_ticks: int = 0
    """Ticks that began more than 50 ms after they were due: the generator was the bottleneck."""
    took_s: float = 0.0
    cpu_s: float = 0.0
    """Of the generator itself while it sent."""


class Publisher(asyncio.Protocol):
    """One connection: counts PUBACKs by reading nothing but their first bytes."""

    def __init__(self, sent: Sent, all_acknowledged: asyncio.Event) -> None:
        self._sent = sent
        self._all_acknowledged = all_acknowledged
        self._rest = b""
        self.connected = asyncio.get_running_loop().create_future()
        self.packet_id = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        buffer = self._rest + data if self._rest else data
        at = 0
        # MQTT 5 section 2.1.4: what comes here is shorter than 128 bytes, so its length is one byte.
        while len(buffer) - at >= 2 and len(buffer) - at >= 2 + buffer[at + 1]:
            kind, length = buffer[at] & 0xF0, buffer[at + 1]
            if kind == _PUBACK:
                self._count(0 if length == 2 else buffer[at + 4])
            elif kind == _CONNACK and not self.connected.done():
                self.connected.set_result(buffer[at + 3])
            at += 2 + length
        self._rest = buffer[at:]

    def _count(self, reason: int) -> None:
        self._sent.acknowledged += 1
        if reason == 0x10:
            self._sent.unmatched += 1
        elif reason >= 0x80:
            self._sent.refused += 1
        if self._sent.acknowledged == self._sent.to_send:
            self._all_acknowledged.set()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.connected.done():
            self.connected.set_exception(exc or ConnectionError("closed before CONNACK"))

    def publish(self, topic: bytes, payload: bytes) -> None:
        """One QoS 1 PUBLISH in one write (MQTT 5 section 3.3; property length 0)."""
        self.packet_id = self.packet_id % 65535 + 1
        # The topic brings its own two bytes of length.
        length = len(topic) + 2 + 1 + len(payload)
        size = bytes((length,)) if length < 128 else bytes((length & 0x7F | 0x80, length >> 7))
        self.transport.write(
            b"\x32" + size + topic + struct.pack(">HB", self.packet_id, 0) + payload,
        )


def encoded_topic(topic: str) -> bytes:
    """The topic with its MQTT length prefix."""
    raw = topic.encode()
    return struct.pack(">H", len(raw)) + raw


async def connect(load: Load, sent: Sent, all_acknowledged: asyncio.Event) -> list[Publisher]:
    """All connections, a hundred at a time: the broker's listen backlog is about that long."""
    loop = asyncio.get_running_loop()
    publishers: list[Publisher] = []
    for start in range(0, load.connections, 100):
        group = []
        for index in range(start, min(start + 100, load.connections)):
            _, publisher = await loop.create_connection(
                lambda: Publisher(sent, all_acknowledged), load.host, load.port
            )
            packet = ConnectPacket(
                f"{load.prefix}-conn-{index}",
                username=load.username,
                password=load.password.encode(),
                clean_start=True,
                keep_alive=600,
            )
            publisher.transport.write(packet.write())
            group.append(publisher)
        for reason in await asyncio.gather(*(publisher.connected for publisher in group)):
            if reason != 0:
                raise ConnectionError(f"the broker refused a connection with reason {reason:#x}")
        publishers += group
    return publishers


def reports(load: Load) -> Iterator[tuple[int, int, bool, bool]]:
    """(device index, seq, keep, moves) for ever: every device in turn, shares spread evenly."""
    keep_every = round(1 / load.keep_share) if load.keep_share else 0
    move_every = round(1 / load.move_share) if load.move_share else 0
    seq, count = load.first_seq, 0
    while True:
        for device in range(load.devices):
            count += 1
            yield (
                device,
                seq,
                bool(keep_every) and count % keep_every == 0,
                bool(move_every) and count % move_every == 0,
            )
        seq += 1


async def run(load: Load) -> Sent:
    """Connects, says READY on stdout, waits for a line on stdin, sends for `seconds`, waits for PUBACKs."""
    sent, all_acknowledged = Sent(to_send=int(load.rate_per_s * load.seconds)), asyncio.Event()
    publishers = await connect(load, sent, all_acknowledged)
    print("READY", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    topics = [encoded_topic(report_topic(load.device_id(index))) for index in range(load.devices)]
    started_s, started_cpu_s = time.monotonic(), time.process_time()
    await _send(load, sent, publishers, topics)
    sent.took_s = time.monotonic() - started_s
    sent.cpu_s = time.process_time() - started_cpu_s
    with suppress(TimeoutError):
        async with asyncio.timeout(60):
            await all_acknowledged.wait()
    for publisher in publishers:
        publisher.transport.close()
    return sent


async def _send(load: Load, sent: Sent, publishers: list[Publisher], topics: list[bytes]) -> None:
    plain = FrameTemplate(boot=load.boot, keep=False)
    kept = FrameTemplate(boot=load.boot, keep=True)
    steps = [0] * load.devices
    begin_s, begin_ms = time.monotonic(), time.time_ns() / 1e6 - load.boot * 1000
    upcoming = reports(load)
    while sent.sent < sent.to_send:
        elapsed_s = time.monotonic() - begin_s
        due = min(int(elapsed_s * load.rate_per_s) + 1, sent.to_send)
        if due - sent.sent > load.rate_per_s * 0.05:
            sent.late_ticks += 1
        for number in range(sent.sent, due):
            device, seq, keep, moves = next(upcoming)
            steps[device] += moves
            frame = (kept if keep else plain).fill(
                seq=seq,
                # The time at which it was due, not at which it was written: no coordinated omission.
                elapsed_ms=round(begin_ms + number / load.rate_per_s * 1000),
                lat_e7=13_000_000 + device * 17 % 1_000_000 + steps[device] % 2 * 20_000,
                lon_e7=1_038_000_000 + device * 31 % 2_000_000,
            )
            publishers[device % load.connections].publish(topics[device], frame)
        sent.sent = due
        await asyncio.sleep(max(0.0, TICK_S - (time.monotonic() - begin_s - elapsed_s)))


def main() -> None:
    """Reads one JSON Load from the command line and prints one JSON Sent."""

    parser = ArgumentParser(description=__doc__)
    parser.add_argument("load", help="a Load as JSON")
    load = msgspec.json.decode(parser.parse_args().load, type=Load)
    sent = uvloop.run(run(load))
    print(json.dumps(msgspec.to_builtins(sent)), flush=True)


if __name__ == "__main__":
    main()
