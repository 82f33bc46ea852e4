"""The few MQTT packets a device needs, as bytes, in version 5 and in version 3.1.1."""

from struct import error as StructError
from struct import pack, unpack_from
from typing import NamedTuple, Protocol

import mqtt5


class Accepted(NamedTuple):
    """The broker's answer to CONNECT."""

    refusal: int
    """0 when accepted, else the reason code."""
    receive_max: int
    """How many QoS 1 messages it takes unconfirmed."""


class Granted(NamedTuple):
    """The broker's answer to SUBSCRIBE."""

    refused: bool


class Confirmed(NamedTuple):
    """The broker has a QoS 1 message."""

    packet_id: int
    refusal: int
    """0 when accepted; 16 means that nobody listens."""


class Delivered(NamedTuple):
    """A message from the gateway."""

    topic: str
    payload: bytes
    packet_id: int | None
    """To confirm, when it came at QoS 1."""


class Pong(NamedTuple):
    """The broker is there."""


class Dismissed(NamedTuple):
    """The broker ends the connection."""

    reason: int


Packet = Accepted | Granted | Confirmed | Delivered | Pong | Dismissed


class MalformedPacket(ValueError):
    """What the broker sent is no packet a device expects."""


class Framing(Protocol):
    """One version of the protocol."""

    def connect(self, client_id: str, user: str, password: str, *, keep_alive_s: int) -> bytes:
        """A fresh session."""

    def subscribe(self, packet_id: int, topics: list[str]) -> bytes: ...

    def publish(self, topic: str, payload: bytes, packet_id: int) -> bytes:
        """At QoS 1."""

    def confirm(self, packet_id: int) -> bytes: ...

    def read(self, view: memoryview) -> tuple[Packet, int] | None:
        """The first packet and its length, None while it is incomplete. Raises MalformedPacket."""


PING = b"\xc0\x00"
DISCONNECT = b"\xe0\x00"
"""The same bytes in both versions: nothing went wrong."""

_PUBACK_SUCCESS = 0x40
_CLIENT_TAKES_UNCONFIRMED = 100


class Mqtt5:
    """Version 5, through the codec the gateway uses."""

    def connect(self, client_id: str, user: str, password: str, *, keep_alive_s: int) -> bytes:
        return mqtt5.ConnectPacket(
            client_id,
            username=user,
            password=password.encode(),
            clean_start=True,
            keep_alive=keep_alive_s,
            receive_max=_CLIENT_TAKES_UNCONFIRMED,
        ).write()

    def subscribe(self, packet_id: int, topics: list[str]) -> bytes:
        filters = [
            mqtt5.TopicFilter(topic, max_qos=mqtt5.QoS.AT_LEAST_ONCE, retain_as_published=False)
            for topic in topics
        ]
        return mqtt5.SubscribePacket(packet_id, filters).write()

    def publish(self, topic: str, payload: bytes, packet_id: int) -> bytes:
        return mqtt5.PublishPacket(topic, payload, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=packet_id).write()

    def confirm(self, packet_id: int) -> bytes:
        return mqtt5.PubAckPacket(packet_id).write()

    def read(self, view: memoryview) -> tuple[Packet, int] | None:
        # Nearly everything a busy device hears is the short form of PUBACK: success, no properties.
        if len(view) >= 4 and view[0] == _PUBACK_SUCCESS and view[1] == 2:
            return Confirmed(view[2] << 8 | view[3], 0), 4
        try:
            packet, length = mqtt5.read(view)
        except IndexError:
            return None
        except ValueError as error:
            raise MalformedPacket(str(error)) from None
        return _from_mqtt5(packet), length


def _from_mqtt5(packet: mqtt5.Packet) -> Packet:
    match packet:
        case mqtt5.PubAckPacket():
            return Confirmed(packet.packet_id, int(packet.reason_code))
        case mqtt5.PublishPacket():
            return Delivered(packet.topic, packet.payload, packet.packet_id)
        case mqtt5.PingRespPacket():
            return Pong()
        case mqtt5.ConnAckPacket():
            return Accepted(int(packet.reason_code), packet.receive_max)
        case mqtt5.SubAckPacket():
            return Granted(any(int(code) >= 0x80 for code in packet.reason_codes))
        case mqtt5.DisconnectPacket():
            return Dismissed(int(packet.reason_code))
        case _:
            raise MalformedPacket(f"a broker does not send {type(packet).__name__}")


class Mqtt311:
    """Version 3.1.1, as simple firmware speaks it."""

    def connect(self, client_id: str, user: str, password: str, *, keep_alive_s: int) -> bytes:
        # Flags: user name, password, clean session.
        body = b"\x00\x04MQTT\x04\xc2" + pack(">H", keep_alive_s)
        return _packet(0x10, body + _text(client_id) + _text(user) + _text(password))

    def subscribe(self, packet_id: int, topics: list[str]) -> bytes:
        return _packet(0x82, pack(">H", packet_id) + b"".join(_text(topic) + b"\x01" for topic in topics))

    def publish(self, topic: str, payload: bytes, packet_id: int) -> bytes:
        return _packet(0x32, _text(topic) + pack(">H", packet_id) + payload)

    def confirm(self, packet_id: int) -> bytes:
        return b"\x40\x02" + pack(">H", packet_id)

    def read(self, view: memoryview) -> tuple[Packet, int] | None:
        head = _header(view)
        if head is None:
            return None
        begin, end = head
        if len(view) < end:
            return None
        try:
            return _from_mqtt311(view[0], view[begin:end]), end
        except (IndexError, ValueError, StructError) as error:
            raise MalformedPacket(f"type {view[0] >> 4}: {error}") from None


def _from_mqtt311(first: int, body: memoryview) -> Packet:
    match first >> 4:
        case 2:
            # Version 3.1.1 names no receive maximum: twenty is what brokers commonly take.
            return Accepted(body[1], 20)
        case 3:
            return _delivered(first, body)
        case 4:
            return Confirmed(body[0] << 8 | body[1], 0)
        case 9:
            return Granted(0x80 in body[2:])
        case 13:
            return Pong()
        case other:
            raise MalformedPacket(f"a broker does not send type {other}")


def _delivered(first: int, body: memoryview) -> Delivered:
    (topic_bytes,) = unpack_from(">H", body)
    at = 2 + topic_bytes
    topic = str(body[2:at], "utf-8")
    if first & 0x06 == 0:
        return Delivered(topic, bytes(body[at:]), None)
    (packet_id,) = unpack_from(">H", body, at)
    return Delivered(topic, bytes(body[at + 2 :]), packet_id)


def _header(view: memoryview) -> tuple[int, int] | None:
    """Where the body begins and ends, None while the length is incomplete. Raises MalformedPacket."""
    length = 0
    for at in range(1, min(len(view), 5)):
        length |= (view[at] & 0x7F) << 7 * (at - 1)
        if view[at] < 0x80:
            return at + 1, at + 1 + length
    if len(view) >= 5:
        raise MalformedPacket("length of more than four bytes")
    return None


def _packet(first: int, body: bytes) -> bytes:
    length = len(body)
    header = bytearray((first,))
    while length >= 0x80:
        header.append(length & 0x7F | 0x80)
        length >>= 7
    header.append(length)
    return bytes(header) + body


def _text(text: str) -> bytes:
    encoded = text.encode()
    return pack(">H", len(encoded)) + encoded
