"""What a device may do at a broker that asks us: the same as in the shipped rights of mosquitto, and its own shard."""

from enum import StrEnum

from firmware_protocol import topics
from firmware_protocol.errors import MalformedTopic
from firmware_protocol.topics import checked_device_id


class Action(StrEnum):
    """As a broker names it."""

    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"


_UP = (topics.hello_topic, topics.report_topic, topics.ack_topic)
_DOWN = (topics.welcome_topic, topics.receipt_topic, topics.command_topic)


def may(name: str, action: Action, topic: str) -> bool:
    """Whether the device of that name may. Compared with the few topics it has: no wildcard, no `$share`, no other
    spelling is one of them."""
    try:
        device_id = checked_device_id(name)
    except MalformedTopic:
        return False
    return any(topic == own(device_id) for own in (_UP if action is Action.PUBLISH else _DOWN))
