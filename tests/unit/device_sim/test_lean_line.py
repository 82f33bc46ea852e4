"""Laws of one connection, without a network."""

import asyncio
from typing import cast

import mqtt5

from device_sim.driver import Message, Party
from device_sim.lean_line import KEEP_ALIVE_S, MAX_WAITING, LeanLine
from device_sim.packets import Mqtt5


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written: list[mqtt5.Packet] = []
        self.aborted = False

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            packet, length = mqtt5.read(view)
            self.written.append(packet)
            view = view[length:]

    def abort(self) -> None:
        self.aborted = True

    def close(self) -> None:
        self.aborted = True

    def published(self) -> list[mqtt5.PublishPacket]:
        return [packet for packet in self.written if isinstance(packet, mqtt5.PublishPacket)]


class Ears:
    """A line listener that writes down what it hears."""

    def __init__(self) -> None:
        self.ups = 0
        self.downs = 0
        self.confirmed: list[tuple[Message, float, int]] = []
        self.delivered: list[tuple[str, bytes]] = []

    def line_up(self, line: LeanLine) -> None:
        self.ups += 1

    def line_down(self, line: LeanLine) -> None:
        self.downs += 1

    def line_confirmed(self, message: Message, took_s: float, refusal: int) -> None:
        self.confirmed.append((message, took_s, refusal))

    def line_delivered(self, line: LeanLine, topic: str, payload: bytes) -> None:
        self.delivered.append((topic, payload))


class Bench:
    """A line with its wire, its listener and its clock."""

    def __init__(self, *, receive_max: int = 65_535) -> None:
        self.now_s = 100.0
        self.ears, self.wire = Ears(), Wire()
        party = Party((0,), "A", "A", "pw", {"lk/v1/00/A/welcome": 0}, Mqtt5())
        self.line = LeanLine(0, party, listener=self.ears, clock_s=lambda: self.now_s)
        self.line.connection_made(cast(asyncio.Transport, self.wire))
        self.receive_max = receive_max

    def open(self) -> "Bench":
        self.hear(mqtt5.ConnAckPacket(receive_max=self.receive_max))
        subscribe = self.wire.written[-1]
        assert isinstance(subscribe, mqtt5.SubscribePacket)
        self.hear(mqtt5.SubAckPacket(subscribe.packet_id, [mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE]))
        return self

    def hear(self, *packets: mqtt5.Packet) -> None:
        self.line.data_received(b"".join(packet.write() for packet in packets))


def message(number: int) -> Message:
    return Message(0, "lk/v1/00/A/report", b"%d" % number, None)


def test_a_line_is_up_when_the_broker_has_granted_its_topics() -> None:
    bench = Bench()
    assert isinstance(bench.wire.written[0], mqtt5.ConnectPacket)
    assert bench.line.publish(message(1)) is False
    bench.open()
    assert bench.line.up
    assert bench.ears.ups == 1
    assert bench.line.publish(message(1)) is True


def test_confirmations_are_matched_in_any_order_and_once() -> None:
    bench = Bench().open()
    for number in range(3):
        bench.line.publish(message(number))
    first, second, third = (packet.packet_id or 0 for packet in bench.wire.published())
    bench.now_s += 0.25
    bench.hear(mqtt5.PubAckPacket(third), mqtt5.PubAckPacket(first), mqtt5.PubAckPacket(third))
    assert [(said.payload, took_s) for said, took_s, _ in bench.ears.confirmed] == [
        (b"2", 0.25),
        (b"0", 0.25),
    ]
    assert [said.payload for said in bench.line.unconfirmed()] == [b"1"]
    bench.hear(mqtt5.PubAckPacket(second, reason_code=mqtt5.PubAckReasonCode.NOT_AUTHORIZED))
    assert bench.ears.confirmed[-1][2] == 135


def test_never_more_in_flight_than_the_broker_takes_and_the_rest_in_order() -> None:
    bench = Bench(receive_max=2).open()
    for number in range(MAX_WAITING + 2):
        assert bench.line.publish(message(number))
    assert bench.line.publish(message(-1)) is False
    assert len(bench.wire.published()) == 2
    for number in range(MAX_WAITING):
        bench.hear(mqtt5.PubAckPacket(bench.wire.published()[number].packet_id or 0))
        assert len(bench.wire.published()) == number + 3
    assert [packet.payload for packet in bench.wire.published()] == [
        b"%d" % number for number in range(MAX_WAITING + 2)
    ]


def test_packets_split_anywhere_are_read_the_same() -> None:
    data = mqtt5.PublishPacket("lk/v1/00/A/welcome", b"hi").write() + mqtt5.PubAckPacket(9).write()
    for cut in range(len(data)):
        bench = Bench().open()
        bench.line.data_received(data[:cut])
        bench.line.data_received(data[cut:])
        assert bench.ears.delivered == [("lk/v1/00/A/welcome", b"hi")]


def test_a_message_at_qos_1_is_confirmed_to_the_broker() -> None:
    bench = Bench().open()
    bench.hear(mqtt5.PublishPacket("lk/v1/00/A/cmd", b"x", qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=5))
    answer = bench.wire.written[-1]
    assert isinstance(answer, mqtt5.PubAckPacket)
    assert answer.packet_id == 5


def test_a_silent_broker_is_asked_once_and_then_given_up() -> None:
    bench = Bench().open()
    for _ in range(3):
        bench.line.tend(100.0 + KEEP_ALIVE_S / 2 + 1)
    assert sum(isinstance(packet, mqtt5.PingReqPacket) for packet in bench.wire.written) == 1
    assert not bench.wire.aborted
    bench.line.tend(100.0 + 2 * KEEP_ALIVE_S)
    assert bench.wire.aborted


def test_what_is_no_packet_ends_the_connection() -> None:
    bench = Bench().open()
    bench.line.data_received(b"\xf1\xff\xff\xff\xff\xff")
    assert bench.wire.aborted


def test_a_refused_connect_is_remembered() -> None:
    bench = Bench()
    bench.hear(mqtt5.ConnAckPacket(reason_code=mqtt5.ConnAckReasonCode.BAD_USER_NAME_OR_PASSWORD))
    assert bench.wire.aborted
    assert bench.line.refusal == 134
    bench.line.connection_lost(None)
    assert (bench.ears.ups, bench.ears.downs) == (0, 1)
