"""One connection moves bytes both ways and says how it ended."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from mqtt5 import DisconnectPacket, PubAckPacket, PublishPacket

from gateway.clock import SystemClock
from gateway.mqtt.events import BrokerAcked, Opened, SessionSpec
from gateway.mqtt.link import MAX_UNSENT_BEFORE_COMMAND_BYTES, READ_BUFFER_BYTES, Link
from gateway.mqtt.session import Session
from tests.support.mqtt_peer import MqttPeer, mqtt_peer
from tests.support.waiting import until_async


class Sink:
    """Remembers."""

    def __init__(self) -> None:
        self.packets: list[PublishPacket] = []
        self.sizes: list[int] = []
        self.broker_acks: list[BrokerAcked] = []

    def took_publishes(self, link: Link, packets: list[PublishPacket], size_bytes: int) -> None:
        self.packets += packets
        self.sizes.append(size_bytes)

    def broker_acked(self, event: BrokerAcked) -> None:
        self.broker_acks.append(event)

    def opened(self, link: Link, event: Opened) -> None:
        assert event.session_present


@asynccontextmanager
async def linked() -> AsyncIterator[tuple[MqttPeer, Link, Sink]]:
    """A live link."""
    sink = Sink()
    async with mqtt_peer() as peer:
        link = Link(Session(SessionSpec("one", "", "", ("a/+",))), 1, sink, SystemClock())
        await asyncio.get_running_loop().create_connection(lambda: link, "127.0.0.1", peer.port)
        await link.live
        yield peer, link, sink
        link.abort("the test is over")
        await link.ended


async def test_messages_larger_than_one_read_arrive_whole_and_in_order() -> None:
    async with linked() as (peer, _, sink):
        messages = [("a/b", bytes([number]) * 10_000) for number in range(40)]
        peer.links[0].publish(*messages)
        await until_async(lambda: len(sink.packets) == len(messages))
        assert [packet.payload for packet in sink.packets] == [payload for _, payload in messages]
        assert max(sink.sizes) <= READ_BUFFER_BYTES
        assert sum(sink.sizes) > 400_000


async def test_acknowledgements_reach_the_broker_in_order() -> None:
    async with linked() as (peer, link, _):
        link.acknowledge([5, 4, 6])
        await until_async(lambda: len(peer.links[0].of_type(PubAckPacket)) == 3)
        assert [packet.packet_id for packet in peer.links[0].of_type(PubAckPacket)] == [5, 4, 6]


async def test_a_paused_link_leaves_messages_in_the_socket() -> None:
    async with linked() as (peer, link, sink):
        link.pause_reading()
        peer.links[0].publish(("a/b", b"1"))
        link.acknowledge([1])
        await until_async(lambda: peer.links[0].of_type(PubAckPacket))
        assert sink.packets == []
        link.resume_reading()
        await until_async(lambda: sink.packets)


async def test_a_look_takes_what_a_paused_socket_has_and_no_more() -> None:
    async with linked() as (peer, link, sink):
        link.pause_reading()
        link.look()
        assert sink.packets == []
        peer.links[0].publish(("a/b", b"1"), ("a/b", b"2"))

        def found(count: int) -> bool:
            link.look()
            return len(sink.packets) == count

        await until_async(lambda: found(2))
        large = bytes(READ_BUFFER_BYTES // 4)
        peer.links[0].publish(*[("a/b", large)] * 6)
        await until_async(lambda: found(8))
        assert [packet.payload for packet in sink.packets] == [b"1", b"2", *[large] * 6]
        assert not link.reading


async def test_a_link_that_is_only_looked_at_hears_its_end() -> None:
    async with linked() as (peer, link, _):
        link.pause_reading()
        peer.links[0].transport.close()

        def ended() -> bool:
            link.look()
            return link.ended.done()

        await until_async(ended)
        assert (await link.ended).reason == "connection closed by the broker"
        link.look()


async def test_a_look_that_brought_something_does_not_say_that_the_broker_is_there() -> None:
    """Its end may stand behind what it brought."""
    async with linked() as (peer, link, sink):
        link.pause_reading()
        link.look()
        assert link.emptied_at_s > 0.0
        peer.links[0].publish(("a/b", b"1"))
        peer.links[0].transport.close()

        def found() -> bool:
            before_s = link.emptied_at_s
            link.look()
            assert not sink.packets or link.emptied_at_s == before_s
            return bool(sink.packets)

        await until_async(found)


async def test_who_fails_in_a_look_ends_its_own_link(monkeypatch: pytest.MonkeyPatch) -> None:
    async with linked() as (peer, link, sink):

        def fails(link: Link, packets: list[PublishPacket], size_bytes: int) -> None:
            raise RuntimeError("nobody foresaw it")

        monkeypatch.setattr(sink, "took_publishes", fails)
        link.pause_reading()
        peer.links[0].publish(("a/b", b"1"))

        def ended() -> bool:
            link.look()
            return link.ended.done()

        await until_async(ended)
        assert (await link.ended).reason == "reading failed"


async def test_a_message_waits_for_flush_and_leaves_with_others() -> None:
    async with linked() as (peer, link, _):
        assert link.publish("a", b"1")
        assert link.publish("b", b"2")
        link.flush()
        await until_async(lambda: len(peer.links[0].of_type(PublishPacket)) == 2)
        assert [packet.topic for packet in peer.links[0].of_type(PublishPacket)] == ["a", "b"]


async def test_a_command_leaves_at_once_and_never_behind_what_the_broker_does_not_take() -> None:
    async with linked() as (peer, link, sink):
        tag = uuid4()
        assert link.publish_command("a", b"1", None)
        assert link.publish_command("b", b"2", tag)
        await until_async(lambda: len(peer.links[0].of_type(PublishPacket)) == 2)
        peer.links[0].transport.write(
            PubAckPacket(peer.links[0].of_type(PublishPacket)[1].packet_id or 0).write()
        )
        await until_async(lambda: sink.broker_acks)
        assert sink.broker_acks == [BrokerAcked(tag, "success")]
        peer.links[0].transport.pause_reading()
        while link.unsent_bytes <= MAX_UNSENT_BEFORE_COMMAND_BYTES:
            link.publish("c", b"x" * 40_000)
            link.flush()
        assert not link.publish_command("d", b"late", None)
        assert link.publish("e", b"a welcome may wait")


async def test_disconnect_says_goodbye() -> None:
    async with linked() as (peer, link, _):
        link.disconnect()
        assert (await link.ended).reason == "disconnected by this gateway"
        await until_async(lambda: peer.links[0].of_type(DisconnectPacket))


@pytest.mark.parametrize("end", [Link.disconnect, lambda link: link.abort("given up")])
async def test_a_link_that_ended_before_its_socket_was_there_never_opens_the_session(
    end: Callable[[Link], None],
) -> None:
    async with mqtt_peer() as peer:
        session = Session(SessionSpec("one", "", "", ("a/+",)))
        link = Link(session, 1, Sink(), SystemClock())
        end(link)
        assert link.ended.done()
        assert link.live.done()
        await asyncio.get_running_loop().create_connection(lambda: link, "127.0.0.1", peer.port)
        await until_async(lambda: peer.links and (peer.links[0].closed or session.live))
        assert peer.links[0].heard == []


async def test_a_peer_that_closes_or_breaks_the_protocol_ends_the_link() -> None:
    async with linked() as (peer, link, _):
        peer.links[0].transport.close()
        assert (await link.ended).reason == "connection closed by the broker"
    async with linked() as (peer, link, _):
        peer.links[0].transport.write(b"\xf0\x01\x00\x00")
        assert "packet from the broker" in (await link.ended).reason
