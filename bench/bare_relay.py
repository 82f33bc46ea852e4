"""The floor of the live map: hands each frame of some topics to every WebSocket client, looking at nothing."""

import asyncio
import sys
from argparse import ArgumentParser
from typing import cast

import uvloop
from mqtt5 import (
    ConnAckPacket,
    ConnectPacket,
    PublishPacket,
    QoS,
    SubAckPacket,
    SubscribePacket,
    TopicFilter,
    read,
)
from websockets.asyncio.server import ServerConnection, broadcast, serve


class BareRelay(asyncio.Protocol):
    """Subscribes at QoS 0 and broadcasts what comes in the same turn of the loop."""

    def __init__(self, connect: ConnectPacket, topics: list[str]) -> None:
        self._connect = connect
        self._topics = topics
        self._rest = b""
        self.clients: set[ServerConnection] = set()
        self.subscribed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._connect.write())

    def data_received(self, data: bytes) -> None:
        view = memoryview(self._rest + data)
        at = 0
        while at < len(view):
            try:
                packet, size = read(view[at:])
            except IndexError:
                break
            at += size
            if type(packet) is PublishPacket:
                broadcast(self.clients, packet.payload)
            elif isinstance(packet, ConnAckPacket):
                filters = [TopicFilter(topic, max_qos=QoS.AT_MOST_ONCE) for topic in self._topics]
                self._transport.write(SubscribePacket(1, filters).write())
            elif isinstance(packet, SubAckPacket):
                self.subscribed.set_result(None)
        self._rest = bytes(view[at:])


async def run(host: str, port: int, connect: ConnectPacket, topics: list[str]) -> None:
    """Prints its WebSocket port; ends when stdin does."""
    loop = asyncio.get_running_loop()
    _, relay = await loop.create_connection(lambda: BareRelay(connect, topics), host, port)
    await relay.subscribed

    async def keep(client: ServerConnection) -> None:
        relay.clients.add(client)
        try:
            await client.wait_closed()
        finally:
            relay.clients.discard(client)

    async with serve(keep, "127.0.0.1", 0, compression=None) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        await loop.run_in_executor(None, sys.stdin.readline)


def main() -> None:
    """host port username password topics…"""
    parser = ArgumentParser(description=__doc__)
    for name in ("host", "port", "username", "password"):
        parser.add_argument(name)
    parser.add_argument("topics", nargs="+")
    given = parser.parse_args()
    connect = ConnectPacket(
        "bare-relay",
        username=given.username,
        password=given.password.encode(),
        clean_start=True,
        keep_alive=600,
    )
    uvloop.run(run(given.host, int(given.port), connect, given.topics))


if __name__ == "__main__":
    main()
