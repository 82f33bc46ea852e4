"""A broker that goes and comes back is not a rival: only one session closed alone is suspected."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from mqtt5 import ConnAckPacket, SubAckPacket, SubAckReasonCode, SubscribePacket, read

from gateway.clock import SystemClock
from gateway.command_ports import ArrivedAck
from gateway.mqtt.connection import Address, Connection, Surroundings
from gateway.mqtt.lane_sessions import LaneSessions, lane_specs
from gateway.ports import Arrived, ArrivedHello
from tests.support.waiting import until_async

LANES = 8
SESSIONS = 2 * LANES


class Broker:
    """Grants every subscription, and all of them in the same moment; can drop all connections without a word."""

    def __init__(self) -> None:
        self._asked: list[tuple[asyncio.StreamWriter, SubscribePacket]] = []
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        data = b""
        while more := await reader.read(4096):
            data += more
            while data:
                try:
                    packet, size = read(memoryview(data))
                except IndexError:
                    break
                data = data[size:]
                if isinstance(packet, SubscribePacket):
                    self._subscribe(writer, packet)
                elif type(packet).__name__ == "ConnectPacket":
                    writer.write(ConnAckPacket(session_present=True).write())
        writer.close()

    def _subscribe(self, writer: asyncio.StreamWriter, packet: SubscribePacket) -> None:
        self._asked.append((writer, packet))
        if len(self._asked) < SESSIONS:
            return
        for asking, asked in self._asked:
            codes = [SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE] * len(asked.topic_filters)
            asking.write(SubAckPacket(asked.packet_id, codes).write())
        self._asked.clear()

    def drop_all(self) -> None:
        """As the kernel does for a process that was killed."""
        for writer in self._writers:
            writer.close()
        self._writers.clear()


class Nobody:
    """Receives nothing."""

    def took_reports(self, arrived: list[Arrived], size_bytes: int) -> None:
        raise AssertionError("nobody reports")

    def took_hellos(self, hellos: list[ArrivedHello]) -> None:
        raise AssertionError("nobody says hello")

    def took_acks(self, acks: list[ArrivedAck]) -> None:
        raise AssertionError("nobody answers")

    def broker_acked(self, tag: UUID, reason: str) -> None:
        raise AssertionError("nothing is commanded")


async def _may_connect(connection: Connection) -> bool:
    return True


@asynccontextmanager
async def connected(port: int, taken_over: list[str]) -> AsyncIterator[LaneSessions]:
    """All sessions of some lanes, kept connected."""
    around = Surroundings(
        Address("127.0.0.1", port),
        SystemClock(),
        lambda: 0.0,
        _may_connect,
        lambda connection, closed_at_s: sessions.suspected(connection, closed_at_s),
        lambda connection: taken_over.append(connection.client_id),
    )
    specs = {lane: lane_specs(lane, "lk-gateway", "secret") for lane in range(LANES)}
    sessions = LaneSessions(specs, around, Nobody())
    sessions.want(frozenset(specs))
    running = [asyncio.create_task(connection.run()) for connection in sessions.connections]
    try:
        yield sessions
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for connection in sessions.connections:
            if connection.link is not None:
                connection.link.abort("the test is over")
        await sessions.closed()


async def test_a_broker_that_goes_and_comes_back_is_no_rival() -> None:
    broker, taken_over = Broker(), list[str]()
    async with await asyncio.start_server(broker.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connected(port, taken_over) as sessions:
            lanes = frozenset(range(LANES))
            for _ in range(4):
                await until_async(lambda: not sessions.not_live(lanes))
                broker.drop_all()
                await until_async(lambda: len(sessions.not_live(lanes)) == SESSIONS)
            await until_async(lambda: not sessions.not_live(lanes))
        broker.drop_all()
    assert taken_over == []


async def test_links_that_are_not_read_are_no_witnesses() -> None:
    """Nothing is read while PostgreSQL is away: such a link looks alive whatever became of the broker."""
    broker, taken_over = Broker(), list[str]()
    async with await asyncio.start_server(broker.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connected(port, taken_over) as sessions:
            lanes = frozenset(range(LANES))
            await until_async(lambda: not sessions.not_live(lanes))
            alone, long_after_s = sessions.nows[0], SystemClock().monotonic_s() + 3600.0
            # Live as its session says, each connection notes in a later step since when.
            await until_async(lambda: sessions.suspected(alone, long_after_s))
            for connection in sessions.connections:
                connection.set_reading(False)
            assert not sessions.suspected(alone, long_after_s)
            closed_at_s = SystemClock().monotonic_s()
            assert not sessions.suspected(alone, closed_at_s)
            # Under load no link is watched, but looked at again and again: that one knows what came before.
            sessions.look_for_reports()
            assert sessions.suspected(alone, closed_at_s)
            assert not sessions.suspected(alone, long_after_s)
        broker.drop_all()
