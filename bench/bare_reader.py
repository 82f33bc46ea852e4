"""The floor of the ingest edge: reads every report with the `mqtt5` codec, acknowledges it and forgets it."""

import asyncio
import sys
from argparse import ArgumentParser
from typing import cast

import uvloop
from mqtt5 import (
    ConnAckPacket,
    ConnectPacket,
    PubAckPacket,
    PublishPacket,
    QoS,
    SubscribePacket,
    TopicFilter,
    read,
)
from msgspec import Struct

from firmware_protocol.topics import SHARDS, report_filter


class Reading(Struct, frozen=True):
    """Where to read."""

    host: str
    port: int
    username: str
    password: str


class BareReader(asyncio.Protocol):
    """One lane: parses in place, acknowledges all that came in one read by one write."""

    def __init__(self, lane: int, reading: Reading) -> None:
        self._lane = lane
        self._reading = reading
        self._rest = b""
        self.count = 0
        self.subscribed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(
            ConnectPacket(
                f"bare-{self._lane:02x}",
                username=self._reading.username,
                password=self._reading.password.encode(),
                clean_start=True,
                receive_max=65534,
                keep_alive=600,
            ).write()
        )

    def data_received(self, data: bytes) -> None:
        view = memoryview(self._rest + data)
        at, acks = 0, []
        while at < len(view):
            try:
                packet, size = read(view[at:])
            except IndexError:
                break
            at += size
            if type(packet) is PublishPacket:
                assert packet.packet_id is not None
                acks.append(PubAckPacket(packet.packet_id).write())
            else:
                self._begin(packet)
        self._rest = bytes(view[at:])
        self.count += len(acks)
        if acks:
            self._transport.write(b"".join(acks))

    def _begin(self, packet: object) -> None:
        if isinstance(packet, ConnAckPacket):
            only = TopicFilter(
                report_filter(self._lane), max_qos=QoS.AT_LEAST_ONCE, retain_as_published=False
            )
            self._transport.write(SubscribePacket(1, [only]).write())
        elif not self.subscribed.done():
            self.subscribed.set_result(None)


async def run(reading: Reading) -> int:
    """Reads until stdin ends; returns how many reports came."""
    loop = asyncio.get_running_loop()
    readers = []
    for lane in range(SHARDS):
        _, reader = await loop.create_connection(
            lambda lane=lane: BareReader(lane, reading),  # type: ignore[misc]  # a lambda's default has no type
            reading.host,
            reading.port,
        )
        readers.append(reader)
    await asyncio.gather(*(reader.subscribed for reader in readers))
    print("READY", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    return sum(reader.count for reader in readers)


def main() -> None:
    """host port username password; prints READY, and the count when stdin says so."""
    parser = ArgumentParser(description=__doc__)
    for name in ("host", "port", "username", "password"):
        parser.add_argument(name)
    given = parser.parse_args()
    print(uvloop.run(run(Reading(given.host, int(given.port), given.username, given.password))), flush=True)


if __name__ == "__main__":
    main()
