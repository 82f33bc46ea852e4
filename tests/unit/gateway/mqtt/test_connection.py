"""A session is kept connected while it is wanted and the lane is ours."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mqtt5 import PublishPacket

from gateway.clock import SystemClock
from gateway.mqtt.connection import Address, Connection, Surroundings
from gateway.mqtt.events import BrokerAcked, Opened, SessionSpec
from gateway.mqtt.link import Link
from gateway.ports import StoreUnavailable
from tests.support.mqtt_peer import MqttPeer, mqtt_peer
from tests.support.waiting import until_async

SPEC = SessionSpec("one", "", "", ("a/+",))


class Lane:
    """What surrounds the connection."""

    def __init__(self) -> None:
        self.answers: list[bool | None] = []
        """To the next questions whether to connect, None for no answer; True once they are used up."""
        self.asked = 0
        self.suspicious = False
        self.taken_over = 0
        self.lost_sessions = 0
        self.lost_while_asking = False
        """Whether the lane is given away while its lease is read."""

    async def may_connect(self, connection: Connection) -> bool:
        self.asked += 1
        if self.lost_while_asking:
            connection.close("the lane is not ours")
        answer = self.answers.pop(0) if self.answers else True
        if answer is None:
            raise StoreUnavailable("leases")
        return answer

    def note_take_over(self, connection: Connection) -> None:
        self.taken_over += 1

    def took_publishes(self, link: Link, packets: list[PublishPacket], size_bytes: int) -> None:
        raise AssertionError("nothing is published here")

    def broker_acked(self, event: BrokerAcked) -> None:
        raise AssertionError("nothing is published here")

    def opened(self, link: Link, event: Opened) -> None:
        self.lost_sessions += event.session_lost


@asynccontextmanager
async def connecting(lane: Lane) -> AsyncIterator[tuple[MqttPeer, Connection]]:
    """A wanted connection that runs."""
    async with mqtt_peer() as peer:
        around = Surroundings(
            Address("127.0.0.1", peer.port),
            SystemClock(),
            lambda: 0.0,
            lane.may_connect,
            lambda connection, closed_at_s: lane.suspicious,
            lane.note_take_over,
        )
        connection = Connection(SPEC, lane, around, lane=7, role="report")
        connection.wanted.set()
        task = asyncio.create_task(connection.run())
        try:
            yield peer, connection
        finally:
            connection.close("the test is over")
            if connection.link is not None:
                await connection.link.ended
            task.cancel()
            await asyncio.wait([task])


async def test_the_lease_is_read_before_every_connect() -> None:
    lane = Lane()
    lane.answers = [None, False, True]
    async with connecting(lane) as (peer, connection):
        await until_async(lambda: connection.live)
        assert lane.asked == 3
        assert len(peer.links) == 1
        peer.links[0].transport.abort()
        await until_async(lambda: len(peer.links) == 2 and connection.live)
        assert lane.asked == 4


async def test_a_session_the_broker_forgot_is_reported() -> None:
    lane = Lane()
    async with connecting(lane) as (peer, connection):
        await until_async(lambda: connection.live)
        peer.session_present = False
        peer.links[0].transport.close()
        await until_async(lambda: lane.lost_sessions == 1)


async def test_a_silent_end_of_this_session_alone_counts_as_a_take_over() -> None:
    lane = Lane()
    async with connecting(lane) as (peer, connection):
        await until_async(lambda: connection.live)
        peer.links[0].transport.close()
        await until_async(lambda: len(peer.links) == 2 and connection.live)
        assert lane.taken_over == 0
        lane.suspicious = True
        peer.links[1].transport.close()
        await until_async(lambda: lane.taken_over == 1)


async def test_an_unwanted_connection_is_closed_and_stays_closed() -> None:
    lane = Lane()
    async with connecting(lane) as (peer, connection):
        await until_async(lambda: connection.live)
        connection.close("the lane is not ours")
        await until_async(lambda: peer.links[0].closed and connection.link is None)
        connection.wanted.set()
        await until_async(lambda: connection.live)
        assert len(peer.links) == 2


async def test_a_pause_waits_until_the_link_is_live() -> None:
    lane = Lane()
    async with connecting(lane) as (peer, connection):
        peer.grants = False
        connection.set_reading(False)
        await until_async(lambda: peer.links and len(peer.links[0].heard) == 2)
        assert connection.link is not None
        assert not connection.live
        assert connection.link.reading
        peer.grants = True
        peer.links[0].transport.abort()
        await until_async(lambda: connection.live and connection.link and not connection.link.reading)


class SlowSockets:
    """The loop's `create_connection` waits for a word before it connects."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.word = asyncio.Event()
        self.fails = False
        self._connect = asyncio.get_running_loop().create_connection

    async def create_connection(self, factory: Any, host: str, port: int) -> Any:
        protocol = factory()
        self.asked.set()
        await self.word.wait()
        if self.fails:
            raise ConnectionRefusedError
        return await self._connect(lambda: protocol, host, port)


async def test_a_lane_lost_while_its_socket_connects_says_nothing_to_the_broker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sockets = SlowSockets()
    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", sockets.create_connection)
    async with connecting(Lane()) as (peer, connection):
        await sockets.asked.wait()
        connection.close("the lane is not ours")
        sockets.word.set()
        await until_async(lambda: connection.live or connection.link is None)
        assert not connection.live
        # A CONNECT would have taken the session from the lane's new owner.
        await until_async(lambda: peer.links and peer.links[0].closed)
        assert peer.links[0].heard == []
        # Wanted again, it connects as ever.
        connection.wanted.set()
        await until_async(lambda: connection.live)


async def test_nobody_waits_for_a_link_whose_socket_never_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    sockets = SlowSockets()
    sockets.fails = True
    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", sockets.create_connection)
    async with connecting(Lane()) as (_, connection):
        await sockets.asked.wait()
        link = connection.link
        assert link is not None
        sockets.word.set()
        assert "no connection" in (await asyncio.wait_for(link.ended, 5)).reason
        connection.close("the gateway stops")
        await until_async(lambda: connection.link is None)


async def test_a_lane_lost_while_its_lease_is_read_is_not_connected() -> None:
    lane = Lane()
    lane.lost_while_asking = True
    async with connecting(lane) as (peer, connection):
        await until_async(lambda: connection.refusal == "no longer wanted" or connection.live)
        assert not connection.live
        assert peer.links == []
