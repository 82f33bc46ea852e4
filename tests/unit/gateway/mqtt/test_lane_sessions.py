"""Two sessions a lane: frames in, acknowledgements and answers out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

from mqtt5 import PubAckPacket, PublishPacket, QoS

from firmware_protocol.codec import Encoding, encode_hello
from firmware_protocol.messages import DeviceId, Hello
from firmware_protocol.topics import ack_topic, command_topic, hello_topic, report_topic, shard_of
from gateway.clock import SystemClock
from gateway.command_ports import ArrivedAck
from gateway.mqtt.connection import Address, Connection, Surroundings
from gateway.mqtt.lane_sessions import LaneSessions, lane_specs, now_client_id, report_client_id
from gateway.ports import Arrived, ArrivedHello, Delivery
from tests.support.mqtt_peer import MqttPeer, PeerLink, mqtt_peer
from tests.support.waiting import until_async

DEVICE = DeviceId("bike-1")
LANE = shard_of(DEVICE)
LANES = frozenset({LANE, (LANE + 1) % 16})


class Receiver:
    """Remembers."""

    def __init__(self) -> None:
        self.reports: list[Arrived] = []
        self.hellos: list[ArrivedHello] = []
        self.acks: list[ArrivedAck] = []
        self.broker_acks: list[tuple[UUID, str]] = []

    def took_reports(self, arrived: list[Arrived], size_bytes: int) -> None:
        self.reports += arrived

    def took_hellos(self, hellos: list[ArrivedHello]) -> None:
        self.hellos += hellos

    def took_acks(self, acks: list[ArrivedAck]) -> None:
        self.acks += acks

    def broker_acked(self, tag: UUID, reason: str) -> None:
        self.broker_acks.append((tag, reason))


async def always(connection: Connection) -> bool:
    return True


@asynccontextmanager
async def sessions_of_two_lanes() -> AsyncIterator[tuple[MqttPeer, LaneSessions, Receiver]]:
    receiver = Receiver()
    async with mqtt_peer() as peer:
        around = Surroundings(
            Address("127.0.0.1", peer.port),
            SystemClock(),
            lambda: 0.0,
            always,
            lambda connection, closed_at_s: False,
            lambda connection: None,
        )
        sessions = LaneSessions({lane: lane_specs(lane, "", "") for lane in LANES}, around, receiver)
        tasks = [asyncio.create_task(connection.run()) for connection in sessions.connections]
        sessions.want(LANES)
        await until_async(lambda: not sessions.not_live(LANES))
        try:
            yield peer, sessions, receiver
        finally:
            sessions.leave(LANES, "the test is over")
            await sessions.closed()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


def at(peer: MqttPeer, client_id: str) -> PeerLink:
    link = peer.link_of(client_id)
    assert link is not None
    return link


async def test_only_deliveries_of_the_present_link_are_acknowledged() -> None:
    async with sessions_of_two_lanes() as (peer, sessions, receiver):
        link = at(peer, report_client_id(LANE))
        link.publish((report_topic(DEVICE), b"{}"), (report_topic(DEVICE), b"{}"))
        await until_async(lambda: len(receiver.reports) == 2)
        first, second = (arrived.delivery for arrived in receiver.reports)
        gone = Delivery(first.session, first.link_number + 1, 9)
        sessions.acknowledge([gone, first, Delivery(first.session, first.link_number, 0), second])
        await until_async(lambda: len(link.of_type(PubAckPacket)) == 2)
        assert [packet.packet_id for packet in link.of_type(PubAckPacket)] == [1, 2]


async def test_while_reports_pause_hellos_come_and_answers_go() -> None:
    async with sessions_of_two_lanes() as (peer, sessions, receiver):
        sessions.pause_reports()
        at(peer, report_client_id(LANE)).publish((report_topic(DEVICE), b"{}"))
        now = at(peer, now_client_id(LANE))
        frame = encode_hello(Hello(power_on_id=1, model="m"), encoding=Encoding.JSON)
        now.publish((hello_topic(DEVICE), frame), (ack_topic(DEVICE), b"{}"))
        await until_async(lambda: receiver.hellos and receiver.acks)
        # Both are acknowledged when a flow has settled them, not before.
        assert now.of_type(PubAckPacket) == []
        sessions.acknowledge([receiver.acks[0].delivery])
        await until_async(lambda: now.of_type(PubAckPacket))
        assert [packet.packet_id for packet in now.of_type(PubAckPacket)] == [2]
        sessions.publish(LANE, "welcome", b"1")
        sessions.publish(LANE, "welcome", b"2")
        await until_async(lambda: len(now.of_type(PublishPacket)) == 2)
        assert receiver.reports == []
        sessions.resume_reports()
        await until_async(lambda: receiver.reports)


async def test_commands_leave_on_the_now_session_and_the_brokers_word_comes_back() -> None:
    async with sessions_of_two_lanes() as (peer, sessions, receiver):
        tag = uuid4()
        assert sessions.publish_command(LANE, command_topic(DEVICE), b"one-shot", tag=None)
        assert sessions.publish_command(LANE, command_topic(DEVICE), b"again", tag=tag)
        now = at(peer, now_client_id(LANE))
        await until_async(lambda: len(now.of_type(PublishPacket)) == 2)
        first, second = now.of_type(PublishPacket)
        assert (first.qos, first.retain, second.qos, second.retain) == (
            QoS.AT_MOST_ONCE,
            False,
            QoS.AT_LEAST_ONCE,
            False,
        )
        now.transport.write(PubAckPacket(second.packet_id or 0).write())
        await until_async(lambda: receiver.broker_acks)
        assert receiver.broker_acks == [(tag, "success")]
        elsewhere = next(lane for lane in range(16) if lane not in LANES)
        assert (sessions.can_command(LANE), sessions.can_command(elsewhere)) == (True, False)
        assert not sessions.publish_command(elsewhere, command_topic(DEVICE), b"", tag=None)
        sessions.leave(LANES, "not ours")
        assert not sessions.publish_command(LANE, command_topic(DEVICE), b"", tag=None)
        assert not sessions.can_command(LANE)


async def test_a_lane_that_is_left_is_not_live_and_publishes_nothing() -> None:
    async with sessions_of_two_lanes() as (peer, sessions, _):
        sessions.leave(frozenset({LANE}), "the lane is not ours")
        await until_async(lambda: peer.link_of(now_client_id(LANE)) is None)
        sessions.publish(LANE, "welcome", b"1")
        assert len(sessions.not_live(LANES)) == 2
        assert not sessions.not_live(LANES - {LANE})


async def test_one_closed_session_among_live_ones_is_suspicious() -> None:
    async with sessions_of_two_lanes() as (_, sessions, _receiver):
        now_s = SystemClock().monotonic_s()
        connection = sessions.reports[LANE]
        assert sessions.suspected(connection, now_s)
        # All others came after the loss: the broker was restarted.
        assert not sessions.suspected(connection, now_s - 3600.0)
