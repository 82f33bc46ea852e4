"""Quarantined frames as if they had just arrived."""

from collections.abc import Container, Sequence

from mqtt5 import PublishPacket, QoS
from msgspec import Struct

from firmware_protocol.errors import MalformedTopic
from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import parse_topic, report_topic
from gateway.mqtt.inbound import Inbound, Origin
from gateway.ports import Arrived
from gateway.reading import QuarantineRow

NOT_A_SESSION = "quarantine"
"""No broker waits for the acknowledgement of what comes from here."""

NO_LINK = 0

_LANE_OF_NO_TOPIC = 0
"""Whose topic is not of the grammar belongs to no lane; one gateway of several takes it."""


class Replayed(Struct, frozen=True):
    """What became of marked frames."""

    numbers: list[int]
    """Of all frames of our lanes: they are done with once the reports are stored or quarantined anew."""
    reports: list[Arrived]


def arrive_again(rows: Sequence[QuarantineRow], received_ms: int, *, lanes: Container[int]) -> Replayed:
    """Decodes frames of these lanes anew. A hello is not given again: its device has long repeated it, and an old
    power-on must not take the boot number from the present one."""
    inbound = Inbound()
    numbers: list[int] = []
    reports: list[Arrived] = []
    for row in rows:
        topic = _topic(row)
        lane = _lane(topic)
        if lane in lanes:
            numbers.append(row.number)
            # As a redelivery: an earlier replay may have stored it and not come to its end.
            packet = PublishPacket(topic, row.frame, qos=QoS.AT_LEAST_ONCE, packet_id=1, duplicate=True)
            reports += inbound.take([packet], Origin(lane, NOT_A_SESSION, NO_LINK), received_ms).reports
    return Replayed(numbers, reports)


def _topic(row: QuarantineRow) -> str:
    """Rows that were decoded before they were refused are kept without their topic."""
    if row.topic:
        return row.topic
    try:
        return report_topic(DeviceId(row.device_id))
    except MalformedTopic:
        return "?"


def _lane(topic: str) -> int:
    try:
        return parse_topic(topic).shard
    except MalformedTopic:
        return _LANE_OF_NO_TOPIC
