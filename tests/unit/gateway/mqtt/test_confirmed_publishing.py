"""A QoS 1 message is told back once the broker has answered it, and is never sent a second time by itself."""

from collections.abc import Hashable
from uuid import UUID, uuid4

from hypothesis import given, settings
from hypothesis import strategies as st
from mqtt5 import (
    ConnAckPacket,
    PubAckPacket,
    PubAckReasonCode,
    PublishPacket,
    QoS,
    SubAckPacket,
    SubscribePacket,
)

from gateway.mqtt.events import BrokerAcked, Event
from gateway.mqtt.session import Session
from tests.unit.gateway.mqtt.test_session import GRANTED, SPEC, hear, live_session, sent


def published(session: Session) -> list[PublishPacket]:
    return [packet for packet in sent(session) if isinstance(packet, PublishPacket)]


def reopened(session: Session, *, receive_max: int = 65_535) -> None:
    """The next connection of the same session, which the broker has kept."""
    session.open(0.0)
    hear(session, ConnAckPacket(session_present=True, receive_max=receive_max))
    subscribe = sent(session)[-1]
    assert isinstance(subscribe, SubscribePacket)
    hear(session, SubAckPacket(subscribe.packet_id, [GRANTED]))


def test_with_a_tag_it_is_qos_1_and_the_answer_comes_back() -> None:
    session, tag = live_session(), uuid4()
    assert session.publish("t", b"once", tag)
    assert session.publish("t", b"at most once")
    confirmed, plain = published(session)
    assert (confirmed.qos, plain.qos) == (QoS.AT_LEAST_ONCE, QoS.AT_MOST_ONCE)
    assert not confirmed.retain
    assert not plain.retain
    assert not confirmed.duplicate
    packet_id = confirmed.packet_id or 0
    assert hear(session, PubAckPacket(packet_id)) == [BrokerAcked(tag, "success")]
    assert hear(session, PubAckPacket(packet_id)) == []
    assert session.live


def test_the_broker_may_say_that_nobody_was_there() -> None:
    session, tag = live_session(), uuid4()
    session.publish("t", b"", tag)
    (packet,) = published(session)
    answer = PubAckPacket(packet.packet_id or 0, reason_code=PubAckReasonCode.NO_MATCHING_SUBSCRIBERS)
    assert hear(session, answer) == [BrokerAcked(tag, "no_matching_subscribers")]


@settings(max_examples=150, deadline=None)
@given(
    receive_max=st.integers(1, 6),
    steps=st.lists(st.sampled_from(["publish", "ack", "reconnect", "close"]), max_size=60),
)
def test_never_more_than_the_broker_takes_and_nothing_again_after_a_reconnect(
    receive_max: int, steps: list[str]
) -> None:
    session = Session(SPEC)
    reopened(session, receive_max=receive_max)
    waiting: dict[int, UUID] = {}
    told: list[Hashable] = []
    sent_once: set[bytes] = set()
    for number, step in enumerate(steps):
        events: list[Event] = []
        if step == "publish":
            tag = uuid4()
            taken = session.publish("t", b"%d" % number, tag)
            assert taken == (session.live and len(waiting) < receive_max)
            for packet in published(session):
                assert packet.payload not in sent_once
                sent_once.add(packet.payload)
                waiting[packet.packet_id or 0] = tag
        elif step == "ack" and waiting and session.live:
            packet_id = next(iter(waiting))
            events = hear(session, PubAckPacket(packet_id))
            assert events == [BrokerAcked(waiting.pop(packet_id), "success")]
        elif step == "reconnect":
            # What waits here is gone: the broker may have it or not, and nobody says so.
            waiting.clear()
            reopened(session, receive_max=receive_max)
            assert published(session) == []
        elif step == "close":
            session.close()
            waiting.clear()
            sent(session)
        told += [event.tag for event in events if isinstance(event, BrokerAcked)]
    assert len(told) == len(set(told))


def test_an_answer_of_the_connection_before_means_nothing() -> None:
    session, tag = live_session(), uuid4()
    session.publish("t", b"", tag)
    (packet,) = published(session)
    reopened(session)
    assert hear(session, PubAckPacket(packet.packet_id or 0)) == []
    assert session.live
