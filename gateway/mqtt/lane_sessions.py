"""All MQTT sessions of this gateway's lanes: the way of frames in, and of acknowledgements and answers out."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from mqtt5 import PublishPacket

from firmware_protocol.topics import ack_filter, hello_filter, report_filter
from gateway import telemetry
from gateway.command_ports import ArrivedAck
from gateway.mqtt.connection import Connection, Surroundings
from gateway.mqtt.events import BrokerAcked, Opened, SessionSpec
from gateway.mqtt.inbound import Inbound, Origin
from gateway.mqtt.link import Link
from gateway.ports import Arrived, ArrivedHello, Clock, Delivery

log = telemetry.logger()


class Receiver(Protocol):
    """Who takes what arrives; called from the event loop, must only queue."""

    def took_reports(self, arrived: list[Arrived], size_bytes: int) -> None:
        """Everything of one read, in order, malformed frames among it."""

    def took_hellos(self, hellos: list[ArrivedHello]) -> None:
        """Everything of one read, in order."""

    def took_acks(self, acks: list[ArrivedAck]) -> None:
        """Everything of one read, in order, still sealed."""

    def broker_acked(self, tag: UUID, reason: str) -> None:
        """The broker answered the command that was published with this tag."""


def report_client_id(lane: int) -> str:
    """The fixed client id of the lane's report session."""
    return f"lk-gw-{lane:02x}"


def now_client_id(lane: int) -> str:
    """The fixed client id of the lane's session for hello and ack, which never pauses."""
    return f"lk-gw-{lane:02x}-now"


def lane_specs(lane: int, username: str, password: str) -> tuple[SessionSpec, SessionSpec]:
    """The two sessions of a lane: reports, and what cannot wait."""
    return (
        SessionSpec(report_client_id(lane), username, password, (report_filter(lane),)),
        SessionSpec(now_client_id(lane), username, password, (hello_filter(lane), ack_filter(lane))),
    )


class LaneSessions:
    """Implements `ports.DeviceLink` and `command_ports.CommandLink`, and hands on what the links receive."""

    def __init__(
        self, specs: Mapping[int, tuple[SessionSpec, SessionSpec]], around: Surroundings, receiver: Receiver
    ) -> None:
        self._receiver = receiver
        self._inbound = Inbound()
        self._clock: Clock = around.clock
        self.reports = {
            lane: Connection(report, self, around, lane=lane, role="report")
            for lane, (report, _) in specs.items()
        }
        self.nows = {
            lane: Connection(now, self, around, lane=lane, role="now") for lane, (_, now) in specs.items()
        }
        self.connections = (*self.reports.values(), *self.nows.values())
        self._by_client_id = {connection.client_id: connection for connection in self.connections}
        self._unflushed: set[int] = set()

    # --- lanes -----------------------------------------------------------------------------------

    def want(self, lanes: frozenset[int]) -> None:
        """Connects both sessions of these lanes."""
        for connection in self._of(lanes):
            connection.wanted.set()

    def leave(self, lanes: frozenset[int], reason: str) -> None:
        """Disconnects both sessions of these lanes; the broker keeps them."""
        for connection in self._of(lanes):
            connection.close(reason)

    async def closed(self) -> None:
        """Waits until every link that is closing has ended."""
        links = [connection.link for connection in self.connections if connection.link is not None]
        if links:
            await asyncio.wait([link.ended for link in links])

    def not_live(self, lanes: frozenset[int]) -> list[str]:
        """Sessions of these lanes that do not receive now, with the reason of each."""
        return [
            f"{connection.client_id}: {connection.refusal or 'connecting'}"
            for connection in self._of(lanes)
            if not connection.live
        ]

    def suspected(self, connection: Connection, closed_at_s: float) -> bool:
        """Whether only this session was closed then: a broker that stops closes all of them.
        (mosquitto before 2.0.22 closes a session that is taken over without a word. A link that is not read
        does not hear that it was closed, and so proves nothing.)"""
        return any(
            other.live and other.knows_of(closed_at_s) and other.live_since_s < closed_at_s
            for other in self.connections
            if other is not connection
        )

    # --- reading ---------------------------------------------------------------------------------

    def pause_reports(self) -> None:
        """Leaves reports with the broker; the `now` sessions go on."""
        for connection in self.reports.values():
            connection.set_reading(False)

    def look_for_reports(self) -> None:
        """Takes what has come meanwhile, once, and leaves the rest with the broker."""
        for connection in self.reports.values():
            if connection.live and connection.link is not None:
                connection.link.look()

    def resume_reports(self) -> None:
        """Reads reports again."""
        for connection in self.reports.values():
            connection.set_reading(True)

    def took_publishes(self, link: Link, packets: list[PublishPacket], size_bytes: int) -> None:
        """Implements `LinkSink`."""
        connection = self._by_client_id[link.session.spec.client_id]
        origin = Origin(connection.lane or 0, connection.client_id, link.link_number)
        inflow = self._inbound.take(packets, origin, self._clock.now_ms())
        if not connection.reading:
            # A link that has become live while the others pause.
            connection.set_reading(False)
        if inflow.reports:
            self._receiver.took_reports(inflow.reports, size_bytes)
        if inflow.hellos:
            self._receiver.took_hellos(inflow.hellos)
        if inflow.acks:
            self._receiver.took_acks(inflow.acks)
        if inflow.unheard:
            telemetry.UNHEARD.inc(len(inflow.unheard))
            self.acknowledge(inflow.unheard)

    def opened(self, link: Link, event: Opened) -> None:
        """Implements `LinkSink`."""
        if event.session_lost:
            telemetry.SESSION_INCIDENTS.labels("lost").inc()
            log.error("session_lost", session=link.session.spec.client_id)
        else:
            log.info(
                "session_opened", session=link.session.spec.client_id, session_present=event.session_present
            )

    def broker_acked(self, event: BrokerAcked) -> None:
        """Implements `LinkSink`."""
        if isinstance(event.tag, UUID):
            self._receiver.broker_acked(event.tag, event.reason)

    # --- DeviceLink ------------------------------------------------------------------------------

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """PUBACK in the order given, one write per link; those of a link that is gone are dropped."""
        by_session: dict[str, list[Delivery]] = {}
        for delivery in deliveries:
            by_session.setdefault(delivery.session, []).append(delivery)
        for session, own in by_session.items():
            connection = self._by_client_id.get(session)
            link = connection.link if connection is not None else None
            if link is not None:
                number = link.link_number
                # QoS 0 has no packet id.
                packet_ids = [d.packet_id for d in own if d.link_number == number and d.packet_id]
                link.acknowledge(packet_ids)

    def publish(self, lane: int, topic: str, payload: bytes) -> None:
        """QoS 0 on the lane's `now` session; leaves with others of the same loop turn in one write."""
        connection = self.nows.get(lane)
        link = connection.link if connection is not None else None
        if link is None or not link.publish(topic, payload):
            telemetry.UNPUBLISHED.inc()
            return
        telemetry.PUBLISHED.inc()
        if not self._unflushed:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unflushed.add(lane)

    def publish_command(self, lane: int, topic: str, payload: bytes, *, tag: UUID | None) -> bool:
        """On the lane's own `now` session, in this very turn of the loop; False when nothing was sent."""
        connection = self.nows.get(lane)
        link = connection.link if connection is not None else None
        return link is not None and link.publish_command(topic, payload, tag)

    def can_command(self, lane: int) -> bool:
        """Whether `publish_command` has somewhere to go now."""
        connection = self.nows.get(lane)
        return connection is not None and connection.live

    def _flush(self) -> None:
        for lane in self._unflushed:
            link = self.nows[lane].link
            if link is not None:
                link.flush()
        self._unflushed.clear()

    def _of(self, lanes: frozenset[int]) -> list[Connection]:
        return [connection for connection in self.connections if connection.lane in lanes]
