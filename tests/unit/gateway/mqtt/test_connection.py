"""A session is kept connected while it is wanted and the lane is ours."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

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

    async def may_connect(self, connection: Connection) -> bool:
        self.asked += 1
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
