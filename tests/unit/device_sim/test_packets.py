"""Both versions of MQTT say what they should, and read what brokers say."""

import mqtt5
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_sim.packets import (
    Accepted,
    Confirmed,
    Delivered,
    Dismissed,
    Granted,
    MalformedPacket,
    Mqtt5,
    Mqtt311,
    Pong,
)

# What a 3.1.1 broker sends, spelled out from the specification's figures.
OLD_BROKER = [
    (b"\x20\x02\x00\x00", Accepted(0, 20)),
    (b"\x20\x02\x00\x05", Accepted(5, 20)),
    (b"\x40\x02\x12\x34", Confirmed(0x1234, 0)),
    (b"\x90\x04\x00\x01\x01\x01", Granted(False)),
    (b"\x90\x04\x00\x01\x01\x80", Granted(True)),
    (b"\x30\x07\x00\x03a/bhi", Delivered("a/b", b"hi", None)),
    (b"\x32\x09\x00\x03a/b\x00\x0ahi", Delivered("a/b", b"hi", 10)),
    (b"\xd0\x00", Pong()),
]
NEW_BROKER = [
    (mqtt5.ConnAckPacket(receive_max=20).write(), Accepted(0, 20)),
    (
        mqtt5.ConnAckPacket(reason_code=mqtt5.ConnAckReasonCode.NOT_AUTHORIZED).write(),
        Accepted(135, 65_535),
    ),
    (mqtt5.PubAckPacket(0x1234).write(), Confirmed(0x1234, 0)),
    (
        mqtt5.PubAckPacket(7, reason_code=mqtt5.PubAckReasonCode.NO_MATCHING_SUBSCRIBERS).write(),
        Confirmed(7, 16),
    ),
    (mqtt5.SubAckPacket(1, [mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE]).write(), Granted(False)),
    (mqtt5.SubAckPacket(1, [mqtt5.SubAckReasonCode.NOT_AUTHORIZED]).write(), Granted(True)),
    (mqtt5.PublishPacket("a/b", b"hi").write(), Delivered("a/b", b"hi", None)),
    (mqtt5.PingRespPacket().write(), Pong()),
    (
        mqtt5.DisconnectPacket(reason_code=mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER).write(),
        Dismissed(142),
    ),
]


@pytest.mark.parametrize(("frame", "packet"), OLD_BROKER)
def test_version_3_1_1_is_read(frame: bytes, packet: object) -> None:
    assert Mqtt311().read(memoryview(frame + b"\xd0")) == (packet, len(frame))


@pytest.mark.parametrize(("frame", "packet"), NEW_BROKER)
def test_version_5_is_read(frame: bytes, packet: object) -> None:
    assert Mqtt5().read(memoryview(frame + b"\xd0")) == (packet, len(frame))


@pytest.mark.parametrize(
    ("framing", "frames"),
    [(Mqtt311(), [frame for frame, _ in OLD_BROKER]), (Mqtt5(), [frame for frame, _ in NEW_BROKER])],
)
def test_every_proper_prefix_is_incomplete(framing: Mqtt311 | Mqtt5, frames: list[bytes]) -> None:
    for frame in frames:
        for end in range(len(frame)):
            assert framing.read(memoryview(frame[:end])) is None


@given(st.binary(min_size=1, max_size=60))
def test_noise_is_incomplete_malformed_or_a_packet(noise: bytes) -> None:
    for framing in (Mqtt5(), Mqtt311()):
        try:
            found = framing.read(memoryview(noise))
        except MalformedPacket:
            continue
        assert found is None or 0 < found[1] <= len(noise)


def test_version_3_1_1_is_spoken() -> None:
    old = Mqtt311()
    assert old.connect("id", "me", "pw", keep_alive_s=60) == (
        b"\x10\x16\x00\x04MQTT\x04\xc2\x00\x3c\x00\x02id\x00\x02me\x00\x02pw"
    )
    assert old.subscribe(1, ["a", "b"]) == b"\x82\x0a\x00\x01\x00\x01a\x01\x00\x01b\x01"
    assert old.publish("a/b", b"hi", 10) == b"\x32\x09\x00\x03a/b\x00\x0ahi"
    assert old.confirm(10) == b"\x40\x02\x00\x0a"


@given(st.integers(1, 65_535), st.binary(max_size=300))
def test_version_5_is_spoken(packet_id: int, payload: bytes) -> None:
    packet, _ = mqtt5.read(memoryview(Mqtt5().publish("lk/v1/00/A/report", payload, packet_id)))
    assert isinstance(packet, mqtt5.PublishPacket)
    assert (packet.packet_id, packet.payload, packet.retain) == (packet_id, payload, False)
    connect, _ = mqtt5.read(memoryview(Mqtt5().connect("id", "me", "pw", keep_alive_s=60)))
    assert isinstance(connect, mqtt5.ConnectPacket)
    assert (connect.client_id, connect.username, connect.password) == ("id", "me", b"pw")
