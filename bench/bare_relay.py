"""The floor of the live map: hands each frame of some topics to every WebSocket client, looking at nothing."""

import asyncio
import sys
from argparse import ArgumentParser
from collections.abc import Sequence

import uvloop
from mqtt5 import ConnectPacket, PublishPacket
from websockets.asyncio.server import ServerConnection, broadcast, serve

from bench.mqtt_peer import MqttPeer


class BareRelay(MqttPeer):
    """Broadcasts what comes in the same turn of the loop."""

    def __init__(self, connect: ConnectPacket, topics: Sequence[str]) -> None:
        super().__init__(connect, topics)
        self.clients: set[ServerConnection] = set()

    def heard(self, packet: PublishPacket) -> None:
        broadcast(self.clients, packet.payload)


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
