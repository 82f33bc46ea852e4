"""One end of a bare MQTT connection: connects, subscribes at QoS 0, and hands on each message as it comes."""

import asyncio
from abc import abstractmethod
from collections.abc import Sequence
from typing import cast

from mqtt5 import (
    ConnAckPacket,
    ConnectPacket,
    PublishPacket,
    QoS,
    SubAckPacket,
    SubscribePacket,
    TopicFilter,
    read,
)


class MqttPeer(asyncio.Protocol):
    """Trusts its broker: what it does not know it passes over."""

    def __init__(self, connect: ConnectPacket, topics: Sequence[str]) -> None:
        self._connect = connect
        self._topics = topics
        self._rest = b""
        self.subscribed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @abstractmethod
    def heard(self, packet: PublishPacket) -> None:
        """A message came; what is said to it leaves in the same turn of the loop."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._connect.write())

    def data_received(self, data: bytes) -> None:
        view = memoryview(self._rest + data)
        at = 0
        while at < len(view):
            try:
                packet, size = read(view[at:])
            except IndexError:
                break
            at += size
            if type(packet) is PublishPacket:
                self.heard(packet)
            elif isinstance(packet, ConnAckPacket):
                filters = [TopicFilter(topic, max_qos=QoS.AT_MOST_ONCE) for topic in self._topics]
                self.transport.write(SubscribePacket(1, filters).write())
            elif isinstance(packet, SubAckPacket):
                self.subscribed.set_result(None)
        self._rest = bytes(view[at:])

    def say(self, topic: str, payload: bytes) -> None:
        """One message at QoS 0."""
        self.transport.write(PublishPacket(topic, payload=payload, qos=QoS.AT_MOST_ONCE).write())
