"""The broker's side of MQTT 5 on loopback, for tests of one link: answers what it must and remembers the rest."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from mqtt5 import (
    ConnAckPacket,
    ConnectPacket,
    PingReqPacket,
    PingRespPacket,
    PublishPacket,
    QoS,
    SubAckPacket,
    SubAckReasonCode,
    SubscribePacket,
    read,
)


class PeerLink(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, peer: "MqttPeer") -> None:
        self._peer = peer
        self._rest = b""
        self.heard: list[Any] = []
        """Every packet, in order."""
        self.client_id = ""
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self.transport = cast(asyncio.Transport, transport)
        self._peer.links.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True

    def data_received(self, data: bytes) -> None:
        view = memoryview(self._rest + data)
        while view:
            try:
                packet, size = read(view)
            except IndexError:
                break
            view = view[size:]
            self.heard.append(packet)
            self._answer(packet)
        self._rest = bytes(view)

    def publish(self, *messages: tuple[str, bytes], first_id: int = 1) -> None:
        """QoS 1, all in one write."""
        self.transport.write(
            b"".join(
                PublishPacket(topic, payload, qos=QoS.AT_LEAST_ONCE, packet_id=first_id + number).write()
                for number, (topic, payload) in enumerate(messages)
            )
        )

    def of_type(self, kind: type) -> list[Any]:
        return [packet for packet in self.heard if isinstance(packet, kind)]

    def _answer(self, packet: object) -> None:
        if isinstance(packet, ConnectPacket):
            self.client_id = packet.client_id
            self.transport.write(ConnAckPacket(session_present=self._peer.session_present).write())
        elif isinstance(packet, SubscribePacket) and self._peer.grants:
            granted = [SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE] * len(packet.topic_filters)
            self.transport.write(SubAckPacket(packet.packet_id, granted).write())
        elif isinstance(packet, PingReqPacket):
            self.transport.write(PingRespPacket().write())


class MqttPeer:
    """What listens."""

    def __init__(self) -> None:
        self.links: list[PeerLink] = []
        """Every connection there ever was."""
        self.session_present = True
        self.grants = True
        """Whether a SUBSCRIBE is answered."""
        self.port = 0

    def link_of(self, client_id: str) -> PeerLink | None:
        """The newest open connection of that client."""
        return next(
            (link for link in reversed(self.links) if link.client_id == client_id and not link.closed), None
        )


@asynccontextmanager
async def mqtt_peer() -> AsyncIterator[MqttPeer]:
    """A peer that listens while the block runs."""
    peer = MqttPeer()
    server = await asyncio.get_running_loop().create_server(lambda: PeerLink(peer), "127.0.0.1", 0)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()
        for link in peer.links:
            link.transport.abort()
        while not all(link.closed for link in peer.links):
            await asyncio.sleep(0)
