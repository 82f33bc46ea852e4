"""Frames of any device, published as fast as the broker confirms them."""

import socket
from collections.abc import Iterable
from contextlib import closing

from mqtt5 import ConnAckPacket, ConnectPacket, Packet, PubAckPacket, PublishPacket, QoS, read
from msgspec import Struct

from cli.servers.broker import PrivateBroker

WINDOW = 1_000
"""Unconfirmed at once."""
WRITE_BYTES = 64 * 1024
WITHIN_S = 60.0

Message = tuple[str, bytes]
"""Topic and payload."""


class Published(Struct):
    """What the broker answered."""

    confirmed: int = 0
    unmatched: int = 0
    """Of these, how many nobody had subscribed to."""


class _Line:
    """One blocking connection."""

    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream
        self._data = b""

    def send(self, data: bytes) -> None:
        self.stream.sendall(data)

    def hear(self) -> list[Packet]:
        """At least one packet. Raises ConnectionError when the broker closed."""
        packets: list[Packet] = []
        while not packets:
            more = self.stream.recv(WRITE_BYTES)
            if not more:
                raise ConnectionAbortedError("the broker closed the connection")
            self._data += more
            view, used = memoryview(self._data), 0
            while used < len(view):
                try:
                    packet, size = read(view[used:])
                except IndexError:
                    break
                packets.append(packet)
                used += size
            self._data = self._data[used:]
        return packets


def _connected(broker: PrivateBroker, client_id: str) -> _Line:
    line = _Line(socket.create_connection(("127.0.0.1", broker.internal_port), WITHIN_S))
    connect = ConnectPacket(
        client_id, username=broker.bridge_user, password=broker.bridge_password.encode(), clean_start=True
    )
    line.send(connect.write())
    (answer,) = line.hear()
    assert isinstance(answer, ConnAckPacket)
    return line


def flood(broker: PrivateBroker, messages: Iterable[Message], *, client_id: str = "trial-flood") -> Published:
    """Publishes all at QoS 1 through the bridge user; returns when each is confirmed."""
    line = _connected(broker, client_id)
    published = Published()
    with closing(line.stream):
        waiting, number, out = 0, 0, b""
        for topic, payload in messages:
            number = number % 0xFFFF + 1
            out += PublishPacket(topic, payload, qos=QoS.AT_LEAST_ONCE, packet_id=number).write()
            waiting += 1
            if len(out) > WRITE_BYTES or waiting >= WINDOW:
                line.send(out)
                out = b""
            while waiting >= WINDOW:
                waiting -= _confirmed(line, published)
        line.send(out)
        while waiting:
            waiting -= _confirmed(line, published)
    return published


def _confirmed(line: _Line, published: Published) -> int:
    answers = [packet for packet in line.hear() if isinstance(packet, PubAckPacket)]
    published.confirmed += len(answers)
    published.unmatched += sum(answer.reason_code.value == 0x10 for answer in answers)
    return len(answers)


def is_thrown_out(broker: PrivateBroker, message: Message) -> bool:
    """Whether the broker ends the connection that brings this message."""
    line = _connected(broker, "trial-too-much")
    with closing(line.stream):
        try:
            line.send(PublishPacket(message[0], message[1], qos=QoS.AT_LEAST_ONCE, packet_id=1).write())
            return not any(isinstance(packet, PubAckPacket) for packet in line.hear())
        except ConnectionError:
            return True
