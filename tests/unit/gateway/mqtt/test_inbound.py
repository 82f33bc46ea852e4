"""Whatever is published arrives as a value."""

from collections.abc import Sequence
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mqtt5 import PublishPacket, QoS
from msgspec.structs import replace

from firmware_protocol.codec import Encoding, encode_hello, encode_report
from firmware_protocol.errors import MalformedTopic
from firmware_protocol.messages import DeviceId, Hello, Report
from firmware_protocol.topics import Address, Channel, ack_topic, command_topic, hello_topic, report_topic
from gateway.mqtt import inbound
from gateway.mqtt.inbound import AT_A_TIME, WORTH_IT, Inbound, Origin, OwnGrammar
from gateway.mqtt.talk_quota import MOST
from gateway.ports import Delivery

DEVICE = DeviceId("bike-1")
ORIGIN = Origin(lane=7, session="lk-gw-07", link_number=3)


def packet(topic: str, payload: bytes, packet_id: int | None = 5) -> PublishPacket:
    qos = QoS.AT_MOST_ONCE if packet_id is None else QoS.AT_LEAST_ONCE
    return PublishPacket(topic, payload, qos=qos, packet_id=packet_id)


@pytest.mark.parametrize("encoding", list(Encoding))
def test_a_report_and_a_hello_are_decoded_apart(encoding: Encoding) -> None:
    report, hello = Report(battery_pct=71, seq=4), Hello(power_on_id=9, model="bike-1")
    frame = encode_report(report, encoding=encoding)
    inflow = Inbound().take(
        [
            packet(report_topic(DEVICE), frame, 1),
            packet(hello_topic(DEVICE), encode_hello(hello, encoding=encoding), 2),
        ],
        ORIGIN,
        1_000,
    )
    (arrived,), (greeting,) = inflow.reports, inflow.hellos
    assert (arrived.report, arrived.frame, arrived.device_id) == (report, frame, DEVICE)
    assert (arrived.lane, arrived.received_ms) == (7, 1_000)
    assert arrived.delivery == Delivery("lk-gw-07", 3, 1)
    assert (greeting.hello, greeting.encoding, greeting.delivery.packet_id) == (hello, encoding, 2)


TOPICS = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="+#"), min_size=1, max_size=40
)
"""What a broker lets through."""


@given(topic=TOPICS, payload=st.binary(max_size=60))
def test_nothing_that_is_published_raises_or_is_forgotten(topic: str, payload: bytes) -> None:
    inflow = Inbound().take(
        [packet(topic, payload, 1), packet(report_topic(DEVICE), payload, 2)], ORIGIN, 1_000
    )
    deliveries = [one.delivery for one in inflow.reports] + [one.delivery for one in inflow.hellos]
    assert sorted(one.packet_id for one in (*deliveries, *inflow.unheard)) == [1, 2]


MIXED = st.lists(
    st.tuples(
        st.sampled_from(
            [report_topic(DEVICE), report_topic(DeviceId("bike-2")), hello_topic(DEVICE), "other"]
        ),
        st.builds(
            lambda pct, encoding: encode_report(Report(battery_pct=pct), encoding=encoding),
            st.integers(0, 100),
            st.sampled_from([Encoding.CBOR, Encoding.CBOR, Encoding.CBOR, Encoding.JSON]),
        )
        | st.sampled_from(
            [b"\xff", b"\xa1\x08", encode_report(Report(battery_pct=9), encoding=Encoding.CBOR)]
        ),
    ),
    max_size=3 * AT_A_TIME,
)


@given(MIXED)
def test_a_read_brings_what_its_packets_bring_one_by_one(sent: list[tuple[str, bytes]]) -> None:
    packets = [packet(topic, frame, 1 + number) for number, (topic, frame) in enumerate(sent)]
    edge, alone = Inbound(), Inbound()
    # From the second time on topics are known.
    for _ in range(2):
        together = edge.take(packets, ORIGIN, 1_000)
        each = [alone.take([one], ORIGIN, 1_000) for one in packets]
        assert together.reports == [arrived for one in each for arrived in one.reports]
        assert together.hellos == [arrived for one in each for arrived in one.hellos]
        assert together.acks == [arrived for one in each for arrived in one.acks]
        assert together.unheard == [delivery for one in each for delivery in one.unheard]


def test_reports_of_one_read_are_decoded_together_and_a_malformed_one_costs_its_neighbours_only() -> None:
    class Counting(OwnGrammar):
        together: ClassVar[list[int]] = []
        alone: ClassVar[list[bytes]] = []

        def decode_reports(self, frames: Sequence[bytes]) -> Sequence[Report] | None:
            self.together.append(len(frames))
            return super().decode_reports(frames)

        def decode_report(self, frame: bytes) -> Report:
            self.alone.append(frame)
            return super().decode_report(frame)

    frame = encode_report(Report(battery_pct=71), encoding=Encoding.CBOR)
    edge = Inbound([Counting()])
    edge.take([packet(report_topic(DEVICE), frame)], ORIGIN, 1)
    Counting.alone.clear()
    sent = [packet(report_topic(DEVICE), frame, 1 + number) for number in range(3 * AT_A_TIME + WORTH_IT - 1)]
    sent[AT_A_TIME] = packet(report_topic(DEVICE), b"\xff", AT_A_TIME + 1)
    inflow = edge.take(sent, ORIGIN, 1)
    assert [arrived.delivery.packet_id for arrived in inflow.reports] == [one.packet_id for one in sent]
    assert Counting.together == [AT_A_TIME] * 3
    assert len(Counting.alone) == AT_A_TIME + WORTH_IT - 1


def test_a_malformed_frame_says_what_is_wrong_and_where() -> None:
    (arrived,) = Inbound().take([packet(report_topic(DEVICE), b"\xff")], ORIGIN, 1).reports
    assert arrived.report is None
    assert arrived.malformed_reason
    assert arrived.device_id == DEVICE
    assert arrived.topic == report_topic(DEVICE)


def test_a_decoder_that_fails_in_its_own_way_poisons_nothing() -> None:
    class Broken(OwnGrammar):
        def decode_report(self, frame: bytes) -> Report:
            raise RecursionError

        def decode_reports(self, frames: Sequence[bytes]) -> Sequence[Report] | None:
            raise RecursionError

    edge = Inbound([Broken()])
    for count in (1, WORTH_IT):
        found = edge.take([packet(report_topic(DEVICE), b"{}")] * count, ORIGIN, 1).reports
        assert [one.malformed_reason for one in found] == ["decoder failed: RecursionError"] * count


def test_another_grammar_is_asked_for_topics_the_first_does_not_know() -> None:
    class Foreign(OwnGrammar):
        def address(self, topic: str) -> Address:
            if not topic.startswith("foreign/"):
                raise MalformedTopic("not foreign", topic)
            return Address(0, DEVICE, Channel.REPORT)

        def decode_report(self, frame: bytes) -> Report:
            return Report(battery_pct=int(frame))

    inflow = Inbound([OwnGrammar(), Foreign()]).take([packet("foreign/x", b"42")], ORIGIN, 1)
    assert [arrived.report for arrived in inflow.reports] == [Report(battery_pct=42)]


def test_acks_are_handed_on_sealed_and_qos_0_has_no_packet_id() -> None:
    sealed = b"\xd1whatever: only a flow has keys"
    inflow = Inbound().take(
        [packet(ack_topic(DEVICE), sealed), packet(report_topic(DEVICE), b"{}", None)], ORIGIN, 1
    )
    (ack,) = inflow.acks
    assert (ack.lane, ack.device_id, ack.frame) == (ORIGIN.lane, DEVICE, sealed)
    assert (ack.topic, ack.received_ms, ack.delivery.packet_id) == (ack_topic(DEVICE), 1, 5)
    assert inflow.unheard == []
    assert inflow.reports[0].delivery.packet_id == 0


def test_what_only_devices_listen_to_is_heard_by_nobody() -> None:
    inflow = Inbound().take([packet(command_topic(DEVICE), b"an echo")], ORIGIN, 1)
    assert ([one.packet_id for one in inflow.unheard], inflow.acks, inflow.reports) == ([5], [], [])


def test_the_memory_of_topics_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbound, "MAX_KNOWN_TOPICS", 3)
    edge = Inbound()
    for number in range(10):
        device = DeviceId(f"bike-{number}")
        origin = replace(ORIGIN, link_number=number)
        (arrived,) = edge.take([packet(report_topic(device), b"{}")], origin, 1).reports
        assert arrived.device_id == device


@pytest.mark.parametrize("topic", [hello_topic(DEVICE), ack_topic(DEVICE)])
def test_a_flood_of_one_device_is_acknowledged_and_leaves_the_place_of_others(topic: str) -> None:
    edge = Inbound()
    hello = encode_hello(Hello(power_on_id=9, model="bike-1"), encoding=Encoding.CBOR)
    inflow = edge.take([packet(topic, hello, 1 + n) for n in range(MOST + 5)], ORIGIN, 1_000)
    assert len(inflow.hellos) + len(inflow.acks) == MOST
    assert [delivery.packet_id for delivery in inflow.unheard] == [MOST + n for n in range(1, 6)]
    other = edge.take([packet(hello_topic(DeviceId("bike-2")), hello)], ORIGIN, 1_000)
    assert len(other.hellos) == 1
    assert len(edge.take([packet(report_topic(DEVICE), b"{}")], ORIGIN, 1_000).reports) == 1
