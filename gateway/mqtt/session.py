"""One MQTT 5 client session as a conversation without sockets: bytes and times in, events and bytes out."""

from collections.abc import Hashable, Sequence
from enum import Enum, auto

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
    RetainHandling,
    SubAckPacket,
    SubscribePacket,
    TopicFilter,
    read,
)

from gateway.mqtt.events import BrokerAcked, Ended, Event, Opened, SessionSpec, Subscribed
from gateway.mqtt.outgoing import Outgoing

MAX_PACKET_BYTES = 48 * 1024
"""The largest frame with its topic and properties fits twice; the broker discards what is larger."""

SHORT_PAUSE_S = 0.1
"""Reading pauses for a few milliseconds in every cycle under load; such pauses must not keep a dead peer alive."""

_FIRST_REFUSAL = 0x80
"""Reason codes from here on are refusals (MQTT 5, section 2.4)."""


class _Phase(Enum):
    CLOSED = auto()
    CONNECTING = auto()
    SUBSCRIBING = auto()
    LIVE = auto()


# Asked for every packet; a global name costs a tenth of a look into the enumeration.
_CLOSED, _CONNECTING, _SUBSCRIBING = _Phase.CLOSED, _Phase.CONNECTING, _Phase.SUBSCRIBING


class Session:
    """Speaks for one client id. It survives connections: `open` starts the next one."""

    __slots__ = (
        "_connected_before",
        "_heard_at_s",
        "_out",
        "_outgoing",
        "_paused_at_s",
        "_phase",
        "_pinged_at_s",
        "_sent_at_s",
        "_subscribe_id",
        "keep_alive_s",
        "spec",
    )

    def __init__(self, spec: SessionSpec) -> None:
        self.spec = spec
        self.keep_alive_s = float(spec.keep_alive_s)
        self._phase = _Phase.CLOSED
        self._connected_before = False
        self._outgoing = Outgoing()
        self._subscribe_id = 0
        self._out: list[bytes] = []
        self._heard_at_s = self._sent_at_s = 0.0
        self._pinged_at_s: float | None = None
        self._paused_at_s: float | None = None

    @property
    def live(self) -> bool:
        """True between Subscribed and the end of the connection: it receives."""
        return self._phase is _Phase.LIVE

    def open(self, now_s: float) -> None:
        """Starts a conversation on a new connection; whatever the old one left is forgotten."""
        self._phase = _Phase.CONNECTING
        self._outgoing.open()
        self._heard_at_s = self._sent_at_s = now_s
        # The deadline of the answer to CONNECT is that of a PINGREQ.
        self._pinged_at_s = now_s
        self._paused_at_s = None
        self.keep_alive_s = float(self.spec.keep_alive_s)
        self._out = [
            ConnectPacket(
                self.spec.client_id,
                username=self.spec.username or None,
                password=self.spec.password.encode() or None,
                clean_start=False,
                keep_alive=self.spec.keep_alive_s,
                session_expiry_interval=self.spec.session_expiry_s,
                receive_max=self.spec.receive_max,
                max_packet_size=MAX_PACKET_BYTES,
            ).write()
        ]

    def receive(self, data: memoryview, now_s: float) -> tuple[int, list[Event]]:
        """Parses every whole packet at the start of `data`, in place. Returns how many bytes were used and what
        happened; the rest must be given again with what follows it. Never raises on what a broker sends."""
        events: list[Event] = []
        used, end = 0, len(data)
        self._heard_at_s = now_s
        if self._phase in (_Phase.LIVE, _Phase.SUBSCRIBING):
            # Any byte proves the peer alive: a PINGRESP may stand behind a long backlog.
            self._pinged_at_s = None
        while used < end and self._phase is not _CLOSED:
            try:
                packet, size = read(data[used:])
            except IndexError:
                break
            except ValueError as error:
                self._end(events, f"malformed packet from the broker: {error}")
                break
            used += size
            if type(packet) is PublishPacket and self._phase is not _CONNECTING:
                if self._phase is _SUBSCRIBING:
                    self._begin_to_receive(events)
                events.append(packet)
            else:
                self._take(packet, events)
        return used, events

    def take_output(self, now_s: float) -> bytes:
        """The bytes to send now, in one write; empty when there are none."""
        if not self._out:
            return b""
        output = b"".join(self._out)
        self._out.clear()
        self._sent_at_s = now_s
        return output

    def acknowledge(self, packet_ids: Sequence[int]) -> None:
        """Queues PUBACKs in the order given, which must be the order of receipt."""
        if self._phase in (_Phase.LIVE, _Phase.SUBSCRIBING):
            self._out.extend([PubAckPacket(packet_id).write() for packet_id in packet_ids])

    def publish(self, topic: str, payload: bytes, tag: Hashable | None = None) -> bool:
        """Queues a message, never retained; False, and nothing queued, while the session is not live. Without a tag
        QoS 0. With one QoS 1: `BrokerAcked` follows unless the connection ends first, and then it is never sent
        again; False also while the broker takes no more of these."""
        if self._phase is not _Phase.LIVE:
            return False
        if tag is None:
            self._out.append(PublishPacket(topic, payload).write())
            return True
        packet_id = self._outgoing.take(tag)
        if packet_id is None:
            return False
        self._out.append(PublishPacket(topic, payload, qos=QoS.AT_LEAST_ONCE, packet_id=packet_id).write())
        return True

    def pause(self, now_s: float) -> None:
        """Reading stops: from now on the peer's silence proves nothing."""
        if self._paused_at_s is None:
            self._paused_at_s = now_s

    def resume(self, now_s: float) -> None:
        """Reading goes on: a long pause does not count as time to answer."""
        if self._paused_at_s is not None and self._pinged_at_s is not None:
            paused_s = now_s - self._paused_at_s
            self._pinged_at_s += paused_s if paused_s > SHORT_PAUSE_S else 0.0
        self._paused_at_s = None

    def tick(self, now_s: float) -> list[Event]:
        """What the passing of time does: asks the broker for a sign of life, and ends without one."""
        events: list[Event] = []
        half_s = self.keep_alive_s / 2
        if self._phase is _Phase.CLOSED:
            return events
        if self._judged(now_s) and self._pinged_at_s is not None and now_s >= self._pinged_at_s + half_s:
            self._end(events, f"no answer for {half_s:g} s")
        elif self._phase is not _Phase.CONNECTING and now_s >= self._next_ping_s():
            self._out.append(PingReqPacket().write())
            self._sent_at_s = now_s
            if self._pinged_at_s is None:
                self._pinged_at_s = now_s
        return events

    def next_tick_s(self, now_s: float) -> float:
        """When `tick` has something to do at the earliest."""
        half_s = self.keep_alive_s / 2
        if self._pinged_at_s is not None and self._judged(now_s):
            return self._pinged_at_s + half_s
        return self._next_ping_s()

    def close(self) -> None:
        """Queues a DISCONNECT that leaves the session, and what it queues, with the broker."""
        if self._phase in (_Phase.LIVE, _Phase.SUBSCRIBING):
            self._out.append(DisconnectPacket().write())
        self._phase = _Phase.CLOSED

    def _judged(self, now_s: float) -> bool:
        """Whether the peer's silence counts: reading goes on, or stands still for a moment only."""
        return self._paused_at_s is None or now_s - self._paused_at_s <= SHORT_PAUSE_S

    def _next_ping_s(self) -> float:
        """Half a keep-alive after the last sign in the quieter direction, and after the last question."""
        half_s = self.keep_alive_s / 2
        if self._pinged_at_s is not None:
            return self._sent_at_s + half_s
        return min(self._sent_at_s, self._heard_at_s) + half_s

    def _take(self, packet: Packet, events: list[Event]) -> None:
        if self._phase is _Phase.CONNECTING:
            self._take_first(packet, events)
        elif isinstance(packet, SubAckPacket) and packet.packet_id == self._subscribe_id:
            self._take_suback(packet, events)
        elif isinstance(packet, PubAckPacket):
            tag = self._outgoing.settle(packet.packet_id)
            if tag is not None:
                events.append(BrokerAcked(tag, packet.reason_code.name.lower()))
        elif isinstance(packet, DisconnectPacket):
            taken_over = packet.reason_code is DisconnectReasonCode.SESSION_TAKEN_OVER
            self._end(events, f"disconnected by the broker: {packet.reason_code.name}", taken_over=taken_over)
        elif not isinstance(packet, PingRespPacket):
            self._end(events, f"unexpected packet from the broker: {type(packet).__name__}")

    def _take_first(self, packet: Packet, events: list[Event]) -> None:
        if not isinstance(packet, ConnAckPacket):
            self._end(events, f"expected CONNACK from the broker, got {type(packet).__name__}")
            return
        if packet.reason_code is not ConnAckReasonCode.SUCCESS:
            self._end(events, f"connection refused by the broker: {packet.reason_code.name}")
            return
        # "If the Server sends a Server Keep Alive on the CONNACK packet, the Client MUST use this value"
        # (MQTT 5, 3.2.2.3.14).
        if packet.server_keep_alive:
            self.keep_alive_s = float(packet.server_keep_alive)
        self._outgoing.allow(packet.receive_max)
        self._pinged_at_s = None
        lost = self._connected_before and not packet.session_present and self.spec.session_expiry_s > 0
        self._connected_before = True
        self._phase = _Phase.SUBSCRIBING
        events.append(Opened(session_present=packet.session_present, session_lost=lost))
        self._subscribe()

    def _subscribe(self) -> None:
        """On every connect: a session that is present need not be subscribed."""
        self._subscribe_id = self._outgoing.subscribe_id()
        retained = RetainHandling.SEND_ALWAYS if self.spec.retained_too else RetainHandling.SEND_NEVER
        filters = [
            TopicFilter(
                pattern,
                max_qos=QoS.AT_LEAST_ONCE,
                retain_as_published=False,
                retain_handling=retained,
            )
            for pattern in self.spec.filters
        ]
        self._out.append(SubscribePacket(self._subscribe_id, filters).write())

    def _take_suback(self, packet: SubAckPacket, events: list[Event]) -> None:
        refused = [code.name for code in packet.reason_codes if code.value >= _FIRST_REFUSAL]
        if refused or len(packet.reason_codes) != len(self.spec.filters):
            self._end(events, f"subscription refused by the broker: {', '.join(refused) or 'wrong count'}")
            return
        if self._phase is _Phase.SUBSCRIBING:
            self._begin_to_receive(events)

    def _begin_to_receive(self, events: list[Event]) -> None:
        """With SUBACK, or with the first message before it: a session that was present delivers its whole queue
        first, and a link that waited for the SUBACK behind it could not pause."""
        self._phase = _Phase.LIVE
        events.append(Subscribed())

    def _end(self, events: list[Event], reason: str, *, taken_over: bool = False) -> None:
        self._phase = _Phase.CLOSED
        self._out.clear()
        events.append(Ended(reason, taken_over))
