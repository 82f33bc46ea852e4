"""The session as a conversation: any split of the bytes, any silence, any reconnect."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mqtt5 import (
    ConnAckPacket,
    ConnAckReasonCode,
    ConnectPacket,
    DisconnectPacket,
    DisconnectReasonCode,
    Packet,
    PingReqPacket,
    PingRespPacket,
    PubAckPacket,
    PublishPacket,
    QoS,
    SubAckPacket,
    SubAckReasonCode,
    SubscribePacket,
    read,
)

from gateway.mqtt.events import RECEIVE_MAX, Ended, Event, Opened, SessionSpec, Subscribed
from gateway.mqtt.session import Session

SPEC = SessionSpec("lk-gw-07", "lk-gateway", "secret", ("lk/v1/07/+/report",), keep_alive_s=12)
GRANTED = SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE


def sent(session: Session, now_s: float = 0.0) -> list[Packet]:
    """Every packet the session wants to send."""
    view = memoryview(session.take_output(now_s))
    packets: list[Packet] = []
    while view:
        packet, size = read(view)
        packets.append(packet)
        view = view[size:]
    return packets


def hear(session: Session, *packets: object, now_s: float = 0.0) -> list[Event]:
    """Gives the session whole packets."""
    data = b"".join(packet.write() for packet in packets)  # type: ignore[attr-defined]  # all mqtt5 packets can
    used, events = session.receive(memoryview(bytearray(data)), now_s)
    assert used == len(data) or any(isinstance(event, Ended) for event in events)
    return events


def live_session(*, session_present: bool = True) -> Session:
    session = Session(SPEC)
    session.open(0.0)
    hear(session, ConnAckPacket(session_present=session_present))
    subscribe = sent(session)[-1]
    assert isinstance(subscribe, SubscribePacket)
    assert hear(session, SubAckPacket(subscribe.packet_id, [GRANTED])) == [Subscribed()]
    return session


def report(packet_id: int, *, duplicate: bool = False) -> PublishPacket:
    payload = b"{}" * (packet_id % 90)
    return PublishPacket(
        "lk/v1/07/bike-1/report", payload, qos=QoS.AT_LEAST_ONCE, packet_id=packet_id, duplicate=duplicate
    )


def test_connect_asks_for_a_session_that_lasts() -> None:
    session = Session(SPEC)
    session.open(0.0)
    (connect,) = sent(session)
    assert isinstance(connect, ConnectPacket)
    assert connect.clean_start is False
    assert connect.session_expiry_interval > 300 * 24 * 3600
    # 65,535 is not written on the wire, and the broker's own much smaller default would hold.
    assert connect.receive_max == RECEIVE_MAX < 65_535


@given(present=st.lists(st.booleans(), min_size=1, max_size=6))
def test_every_connect_subscribes_and_a_forgotten_session_is_an_incident(present: list[bool]) -> None:
    session = Session(SPEC)
    for number, session_present in enumerate(present):
        session.open(0.0)
        (event,) = hear(session, ConnAckPacket(session_present=session_present))
        assert event == Opened(session_present, session_lost=number > 0 and not session_present)
        subscribe = sent(session)[-1]
        assert isinstance(subscribe, SubscribePacket)
        assert [one.pattern for one in subscribe.topic_filters] == list(SPEC.filters)
        assert hear(session, SubAckPacket(subscribe.packet_id, [GRANTED])) == [Subscribed()]
        assert session.live


@settings(max_examples=100, deadline=None)
@given(
    packet_ids=st.lists(st.integers(1, 65_535), max_size=8),
    cuts=st.lists(st.integers(0, 4_000), max_size=12),
)
def test_however_the_bytes_are_split_the_same_events_come_in_the_same_order(
    packet_ids: list[int], cuts: list[int]
) -> None:
    data = ConnAckPacket(session_present=True).write() + b"".join(report(i).write() for i in packet_ids)
    session = Session(SPEC)
    session.open(0.0)
    events: list[Event] = []
    rest = b""
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    for start, end in itertools.pairwise(places):
        rest += data[start:end]
        used, some = session.receive(memoryview(bytearray(rest)), 0.0)
        rest = rest[used:]
        events += some
    assert rest == b""
    assert events[0] == Opened(session_present=True, session_lost=False)
    assert [event.packet_id for event in events[1:] if isinstance(event, PublishPacket)] == packet_ids


@given(length=st.integers(0, 200))
def test_every_proper_prefix_of_a_packet_waits_for_the_rest(length: int) -> None:
    packet = report(80).write()
    prefix = packet[: min(length, len(packet) - 1)]
    assert live_session().receive(memoryview(bytearray(prefix)), 0.0) == (0, [])


@settings(deadline=None)
@given(data=st.binary(max_size=300))
def test_whatever_a_broker_sends_never_raises(data: bytes) -> None:
    for session in (Session(SPEC), live_session()):
        if not session.live:
            session.open(0.0)
        used, _ = session.receive(memoryview(bytearray(data)), 0.0)
        assert 0 <= used <= len(data)


def test_acknowledgements_leave_in_one_write_in_the_order_given() -> None:
    session = live_session()
    session.acknowledge([7, 3, 60_000])
    packets = sent(session)
    assert all(isinstance(packet, PubAckPacket) for packet in packets)
    assert [packet.write() for packet in packets] == [
        PubAckPacket(number).write() for number in (7, 3, 60_000)
    ]
    assert session.take_output(0.0) == b""


def test_nothing_is_said_on_a_closed_session() -> None:
    session = live_session()
    hear(session, DisconnectPacket(reason_code=DisconnectReasonCode.SERVER_SHUTTING_DOWN))
    session.acknowledge([1])
    assert session.publish("t", b"") is False
    assert session.take_output(0.0) == b""


def test_a_take_over_is_told_apart() -> None:
    (event,) = hear(live_session(), DisconnectPacket(reason_code=DisconnectReasonCode.SESSION_TAKEN_OVER))
    assert isinstance(event, Ended)
    assert event.taken_over


@pytest.mark.parametrize(
    "first", [ConnAckPacket(reason_code=ConnAckReasonCode.NOT_AUTHORIZED), PingRespPacket(), report(1)]
)
def test_a_conversation_that_begins_otherwise_ends(first: object) -> None:
    session = Session(SPEC)
    session.open(0.0)
    (event,) = hear(session, first)
    assert isinstance(event, Ended)


def test_a_refused_subscription_ends_the_conversation() -> None:
    session = Session(SPEC)
    session.open(0.0)
    hear(session, ConnAckPacket())
    subscribe = sent(session)[-1]
    assert isinstance(subscribe, SubscribePacket)
    (event,) = hear(session, SubAckPacket(subscribe.packet_id, [SubAckReasonCode.NOT_AUTHORIZED]))
    assert isinstance(event, Ended)
    assert "NOT_AUTHORIZED" in event.reason


def test_a_silent_broker_is_asked_and_then_left() -> None:
    session = live_session()
    assert session.next_tick_s(0.0) == 6.0
    assert session.tick(6.0) == []
    assert isinstance(sent(session, 6.0)[0], PingReqPacket)
    (event,) = session.tick(session.next_tick_s(6.0))
    assert isinstance(event, Ended)


def test_any_byte_is_a_sign_of_life() -> None:
    session = live_session()
    session.tick(6.0)
    hear(session, report(1), now_s=11.0)
    assert session.tick(12.5) == []
    assert session.live


def test_a_paused_link_keeps_asking_and_is_not_judged() -> None:
    session = live_session()
    session.pause(1.0)
    asked = 0
    now_s = 1.0
    while now_s < 60.0:
        now_s = max(now_s + 0.1, session.next_tick_s(now_s))
        assert session.tick(now_s) == []
        asked += len(sent(session, now_s))
    # The broker drops who is silent for one and a half keep-alives.
    assert asked >= 60 / SPEC.keep_alive_s
    session.resume(now_s)
    assert session.tick(now_s + 1.0) == []
    (event,) = session.tick(now_s + SPEC.keep_alive_s)
    assert isinstance(event, Ended)


def test_short_pauses_do_not_keep_a_dead_peer_alive() -> None:
    session = live_session()
    events: list[Event] = []
    now_s = 0.0
    while not events and now_s < 60.0:
        session.pause(now_s)
        now_s += 0.007
        session.resume(now_s)
        events = session.tick(now_s)
    assert now_s < 13.0


def test_close_says_goodbye_and_keeps_the_session_with_the_broker() -> None:
    session = live_session()
    session.close()
    (goodbye,) = sent(session)
    assert isinstance(goodbye, DisconnectPacket)
    assert goodbye.session_expiry_interval is None
