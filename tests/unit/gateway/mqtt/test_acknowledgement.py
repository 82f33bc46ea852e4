"""A message is acknowledged when the flow says so, once, in order, and on the link that brought it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from mqtt5 import (
    ConnAckPacket,
    PubAckPacket,
    PublishPacket,
    QoS,
    SubAckPacket,
    SubAckReasonCode,
    SubscribePacket,
    read,
)

from gateway.command_ports import ArrivedAck
from gateway.mqtt.connection import Address, Connection, Surroundings
from gateway.mqtt.lane_sessions import LaneSessions, lane_specs
from gateway.mqtt.link import Link
from gateway.ports import Arrived, ArrivedHello
from tests.support.fakes.clock import FakeClock

LANE = 15
TOPIC = "lk/v1/0f/bike-000123/report"


class Wire(asyncio.Transport):
    """The broker's end of one connection."""

    def __init__(self) -> None:
        super().__init__()
        self._written = b""
        self._reading = True
        self.connection_lost: Callable[[Exception | None], None] = lambda error: None

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True

    def is_reading(self) -> bool:
        return self._reading

    def is_closing(self) -> bool:
        return False

    def write(self, data: Any) -> None:
        self._written += bytes(data)

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        self.connection_lost(None)

    def packets(self) -> list[object]:
        """What was written since the last look."""
        view = memoryview(self._written)
        packets: list[object] = []
        while view:
            packet, size = read(view)
            packets.append(packet)
            view = view[size:]
        self._written = b""
        return packets


class Receiver:
    """Keeps what arrives."""

    def __init__(self) -> None:
        self.reports: list[Arrived] = []

    def took_reports(self, arrived: list[Arrived], size_bytes: int) -> None:
        self.reports += arrived

    def took_hellos(self, hellos: list[ArrivedHello]) -> None:
        raise AssertionError("nobody said hello")

    def took_acks(self, acks: list[ArrivedAck]) -> None:
        raise AssertionError("nobody answered")

    def broker_acked(self, tag: UUID, reason: str) -> None:
        raise AssertionError("nothing was commanded")


async def _may_connect(connection: Connection) -> bool:
    return True


def sessions_of(receiver: Receiver) -> LaneSessions:
    """The sessions of one lane, not connected."""
    around = Surroundings(
        Address("nowhere", 1),
        FakeClock(),
        lambda: 0.5,
        _may_connect,
        lambda *given: False,
        lambda connection: None,
    )
    return LaneSessions({LANE: lane_specs(LANE, "lk-gateway", "secret")}, around, receiver)


def connect(sessions: LaneSessions, link_number: int) -> tuple[Link, Wire]:
    """A live report link."""
    connection, wire = sessions.reports[LANE], Wire()
    link = Link(connection.session, link_number, sessions, FakeClock())
    connection.link = link
    link.connection_made(wire)
    hear(link, ConnAckPacket(session_present=link_number > 1).write())
    (subscribe,) = [packet for packet in wire.packets() if isinstance(packet, SubscribePacket)]
    hear(link, SubAckPacket(subscribe.packet_id, [SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE]).write())
    return link, wire


def hear(link: Link, data: bytes) -> None:
    """The broker sends this."""
    buffer = link.get_buffer(len(data))
    buffer[: len(data)] = data
    link.buffer_updated(len(data))


def reports(packet_ids: Sequence[int]) -> bytes:
    """PUBLISHes of one read; every second is no frame."""
    frames = [b'{"seq":1}' if packet_id % 2 else b"{" for packet_id in packet_ids]
    return b"".join(
        PublishPacket(TOPIC, frame, qos=QoS.AT_LEAST_ONCE, packet_id=packet_id).write()
        for packet_id, frame in zip(packet_ids, frames, strict=True)
    )


def acknowledged(wire: Wire) -> list[int]:
    return [packet.packet_id for packet in wire.packets() if isinstance(packet, PubAckPacket)]


async def test_nothing_is_acknowledged_before_the_flow_says_so() -> None:
    receiver = Receiver()
    sessions = sessions_of(receiver)
    link, wire = connect(sessions, 1)
    hear(link, reports([5, 4, 9]))
    assert acknowledged(wire) == []
    sessions.acknowledge([one.delivery for one in receiver.reports])
    assert acknowledged(wire) == [5, 4, 9]


async def test_what_an_earlier_link_brought_is_not_acknowledged_on_the_next() -> None:
    receiver = Receiver()
    sessions = sessions_of(receiver)
    first, _ = connect(sessions, 1)
    hear(first, reports([1, 2]))
    first.connection_lost(None)
    second, wire = connect(sessions, 2)
    hear(second, reports([1]))
    sessions.acknowledge([one.delivery for one in receiver.reports])
    assert acknowledged(wire) == [1]


def test_lanes_are_subscribed_by_their_own_plain_filters() -> None:
    for lane in range(16):
        report, now = lane_specs(lane, "lk-gateway", "secret")
        assert report.filters == (f"lk/v1/{lane:02x}/+/report",)
        assert now.filters == (f"lk/v1/{lane:02x}/+/hello", f"lk/v1/{lane:02x}/+/ack")
        assert report.client_id == f"lk-gw-{lane:02x}"


async def test_a_backlog_that_comes_before_suback_can_be_left_with_the_broker() -> None:
    receiver = Receiver()
    sessions = sessions_of(receiver)
    connection, wire = sessions.reports[LANE], Wire()
    link = Link(connection.session, 1, sessions, FakeClock())
    connection.link = link
    wire.connection_lost = link.connection_lost
    link.connection_made(wire)
    sessions.pause_reports()
    hear(link, ConnAckPacket(session_present=True).write())
    assert wire.is_reading()
    hear(link, reports([1, 2, 3]))
    assert not wire.is_reading()
    assert connection.live
    sessions.resume_reports()
    assert wire.is_reading()
    (subscribe,) = [packet for packet in wire.packets() if isinstance(packet, SubscribePacket)]
    hear(link, SubAckPacket(subscribe.packet_id, [SubAckReasonCode.NOT_AUTHORIZED]).write())
    assert (await link.ended).reason.startswith("subscription refused")
