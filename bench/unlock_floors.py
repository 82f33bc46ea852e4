"""The floors of the benchmark `unlock`: a bare MQTT ping-pong with the same fleet, and bare commits."""

import asyncio
import time

import psycopg
from mqtt5 import ConnectPacket, PublishPacket

from bench.answering_fleet import ECHO_FROM, ECHO_TO
from bench.mqtt_peer import MqttPeer
from cli.stack import Stack

PAYLOAD = bytes(120)
"""As long as a signed unlock."""

COMMITS = 3
"""That no design of ours can do without, one after the other: the order, that it is being sent, that it is settled."""


class Pinger(MqttPeer):
    """Publishes, and is told when the echo is back."""

    def __init__(self, connect: ConnectPacket) -> None:
        super().__init__(connect, [ECHO_TO])
        self.back: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def heard(self, packet: PublishPacket) -> None:
        self.back.set_result(None)

    async def ping(self) -> float:
        """Seconds there and back."""
        self.back = asyncio.get_running_loop().create_future()
        begin_s = time.perf_counter()
        self.say(ECHO_FROM, PAYLOAD)
        await self.back
        return time.perf_counter() - begin_s


async def ping_pongs(stack: Stack, count: int) -> list[float]:
    """Seconds of each, sorted; the fleet of the run is the one that answers."""
    broker = stack.broker
    packet = ConnectPacket(
        "bench-pinger",
        username=broker.bridge_user,
        password=broker.bridge_password.encode(),
        clean_start=True,
    )
    loop = asyncio.get_running_loop()
    transport, pinger = await loop.create_connection(
        lambda: Pinger(packet), "127.0.0.1", broker.internal_port
    )
    try:
        await pinger.subscribed
        return sorted([await pinger.ping() for _ in range(count)])
    finally:
        transport.close()


def bare_commits(dsn: str, count: int) -> list[float]:
    """Seconds of each one-row transaction, sorted, as durable as those of the gateway."""
    took_s = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("create table if not exists bare_commit (n bigint, at timestamptz default now())")
        for number in range(count):
            begin_s = time.perf_counter()
            connection.execute("insert into bare_commit (n) values (%s)", (number,), prepare=True)
            took_s.append(time.perf_counter() - begin_s)
        connection.execute("drop table bare_commit")
    return sorted(took_s)
