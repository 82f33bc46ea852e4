"""What was published becomes what arrived: topic, then frame, then a value, never an exception."""

from collections.abc import Sequence
from typing import Protocol

from mqtt5 import PublishPacket
from msgspec import Struct

from firmware_protocol.codec import decode_hello, decode_report, decode_reports, encoding_of
from firmware_protocol.errors import MalformedFrame, MalformedTopic, printable
from firmware_protocol.messages import DeviceId, Hello, Report
from firmware_protocol.topics import Address, Channel, parse_topic
from gateway.command_ports import ArrivedAck
from gateway.mqtt.talk_quota import TalkQuota
from gateway.ports import Arrived, ArrivedHello, Delivery

MAX_KNOWN_TOPICS = 400_000
"""Report and hello topics of 200,000 devices; a topic takes 250 bytes. Beyond it all are forgotten at once."""

WORTH_IT, AT_A_TIME = 3, 32
"""So many reports are decoded together: with fewer nothing is saved, and of more one malformed frame would send too
many the long way."""

_NOWHERE = DeviceId("")
_REPORT = Channel.REPORT
"""Asked for every frame; a global name costs a tenth of a look into the enumeration."""


class Grammar(Protocol):
    """One family of topics and frames: the gateway's own, or that of foreign hardware."""

    def address(self, topic: str) -> Address:
        """Raises MalformedTopic when the topic is not of this grammar."""

    def decode_report(self, frame: bytes) -> Report:
        """Raises MalformedFrame."""

    def decode_reports(self, frames: Sequence[bytes]) -> Sequence[Report] | None:
        """All of them, for less than one by one; None where that cannot be."""

    def decode_hello(self, frame: bytes) -> Hello:
        """Raises MalformedFrame."""


class OwnGrammar:
    """`lk/v1/...` as docs/wire.md has it."""

    def address(self, topic: str) -> Address:
        return parse_topic(topic)

    def decode_report(self, frame: bytes) -> Report:
        return decode_report(frame)

    def decode_reports(self, frames: Sequence[bytes]) -> Sequence[Report] | None:
        return decode_reports(frames)

    def decode_hello(self, frame: bytes) -> Hello:
        return decode_hello(frame)


class Origin(Struct, frozen=True, gc=False):
    """Where a read came from."""

    lane: int
    session: str
    link_number: int


class Inflow(Struct, gc=False):
    """What one read brought, each kind in the order of receipt."""

    reports: list[Arrived] = []
    """Reports, and whatever was malformed on any channel."""
    hellos: list[ArrivedHello] = []
    acks: list[ArrivedAck] = []
    """Still sealed."""
    unheard: list[Delivery] = []
    """Messages on channels that only devices listen to, and hellos and acks beyond the quota of their device: to be
    acknowledged at once."""


class _Place(Struct, frozen=True, gc=False):
    """A topic that was parsed before."""

    device_id: DeviceId
    channel: Channel
    grammar: Grammar


class Inbound:
    """Decodes by the first grammar that knows the topic. Topics repeat for ever, so they are parsed once."""

    def __init__(self, grammars: Sequence[Grammar] = (OwnGrammar(),)) -> None:
        self._grammars = tuple(grammars)
        self._places: dict[str, _Place] = {}
        self._quota = TalkQuota()

    def take(self, packets: Sequence[PublishPacket], origin: Origin, received_ms: int) -> Inflow:
        """All packets of one read."""
        inflow = Inflow()
        for start in range(0, len(packets), AT_A_TIME):
            some = packets[start : start + AT_A_TIME]
            reports = self._reports(some, origin, received_ms) if len(some) >= WORTH_IT else None
            if reports is None:
                self._each(some, origin, received_ms, inflow)
            else:
                inflow.reports += reports
        return inflow

    def _reports(
        self, packets: Sequence[PublishPacket], origin: Origin, received_ms: int
    ) -> list[Arrived] | None:
        """What nearly every read brings: well-formed reports of the first grammar, on topics that were parsed before.
        None when anything else is among them."""
        grammar, known = self._grammars[0], self._places
        places: list[_Place] = []
        for packet in packets:
            place = known.get(packet.topic)
            if place is None or place.channel is not _REPORT or place.grammar is not grammar:
                return None
            places.append(place)
        frames = [packet.payload for packet in packets]
        try:
            reports = grammar.decode_reports(frames)
        except Exception:
            # As below: one by one it is found which of them does that.
            return None
        if reports is None:
            return None
        lane, session, link_number = origin.lane, origin.session, origin.link_number
        return [
            Arrived(
                lane,
                place.device_id,
                report,
                frame,
                received_ms,
                Delivery(session, link_number, packet.packet_id or 0),
                packet.duplicate,
            )
            for packet, place, report, frame in zip(packets, places, reports, frames, strict=True)
        ]

    def _each(
        self, packets: Sequence[PublishPacket], origin: Origin, received_ms: int, inflow: Inflow
    ) -> None:
        reports = inflow.reports
        places = self._places
        lane, session, link_number = origin.lane, origin.session, origin.link_number
        for packet in packets:
            delivery = Delivery(session, link_number, packet.packet_id or 0)
            frame = packet.payload
            place = places.get(packet.topic)
            try:
                if place is None:
                    place = self._place(packet.topic)
                if place.channel is _REPORT:
                    report = place.grammar.decode_report(frame)
                    reports.append(
                        Arrived(lane, place.device_id, report, frame, received_ms, delivery, packet.duplicate)
                    )
                elif not self._is_looked_at(place, received_ms):
                    inflow.unheard.append(delivery)
                elif place.channel is Channel.HELLO:
                    hello = place.grammar.decode_hello(frame)
                    inflow.hellos.append(
                        ArrivedHello(lane, place.device_id, hello, received_ms, delivery, encoding_of(frame))
                    )
                else:
                    inflow.acks.append(
                        ArrivedAck(lane, place.device_id, frame, packet.topic, received_ms, delivery)
                    )
            # A decoder that fails in a way of its own must not be reached by the same frame again and again.
            except Exception as error:
                wrong = Arrived(
                    lane,
                    place.device_id if place else _NOWHERE,
                    None,
                    frame,
                    received_ms,
                    delivery,
                    packet.duplicate,
                    *_reason(error),
                    printable(packet.topic, limit=256),
                )
                reports.append(wrong)

    def _is_looked_at(self, place: _Place, now_ms: int) -> bool:
        listened_to = place.channel is Channel.HELLO or place.channel is Channel.ACK
        return listened_to and self._quota.allows(place.device_id, now_ms)

    def _place(self, topic: str) -> _Place:
        refusal: MalformedTopic | None = None
        for grammar in self._grammars:
            try:
                address = grammar.address(topic)
            except MalformedTopic as error:
                refusal = refusal or error
                continue
            if len(self._places) >= MAX_KNOWN_TOPICS:
                self._places.clear()
            place = _Place(address.device_id, address.channel, grammar)
            self._places[topic] = place
            return place
        raise refusal or MalformedTopic("no grammar", topic)


def _reason(error: Exception) -> tuple[str, str]:
    """What is wrong, and where."""
    match error:
        case MalformedFrame():
            return error.reason, error.at
        case MalformedTopic():
            return error.reason, "topic"
        case _:
            return printable(f"decoder failed: {type(error).__name__}"), "frame"
