"""The topic grammar: build and parse."""

import re
from enum import StrEnum
from zlib import crc32

from msgspec import Struct

from firmware_protocol.errors import MalformedTopic
from firmware_protocol.messages import DeviceId

SHARDS = 16
"""For ever in v1: a device's topics must not move."""

PREFIX = "lk/v1"

_DEVICE_ID = re.compile(r"(?!lk-)[A-Za-z0-9][A-Za-z0-9._:-]{0,31}")
_SHARD_NAMES = tuple(f"{shard:02x}" for shard in range(SHARDS))
_SHARD_OF_NAME = {name: shard for shard, name in enumerate(_SHARD_NAMES)}


class Channel(StrEnum):
    """The last level of a topic."""

    HELLO = "hello"
    REPORT = "report"
    ACK = "ack"
    WELCOME = "welcome"
    RECEIPT = "receipt"
    COMMAND = "cmd"


UPWARD = frozenset({Channel.HELLO, Channel.REPORT, Channel.ACK})
"""What devices publish; the gateway publishes the others."""

_CHANNEL_OF_NAME = {str(channel): channel for channel in Channel}


class Address(Struct, frozen=True, gc=False):
    """Whose topic it is, on which shard it was spoken, and what it carries."""

    shard: int
    device_id: DeviceId
    channel: Channel


def checked_device_id(text: str) -> DeviceId:
    """The text as a device id. Raises MalformedTopic unless it is 1–32 letters, digits or `._:-`, begins
    with a letter or digit, and does not begin with `lk-`, which belongs to the gateway."""
    if _DEVICE_ID.fullmatch(text) is None:
        raise MalformedTopic("not a device id", text)
    return DeviceId(text)


def shard_of(device_id: DeviceId) -> int:
    """The low four bits of the CRC-32 (IEEE 802.3) of the id."""
    return crc32(device_id.encode("ascii")) & 15


def topic_prefix(device_id: DeviceId) -> str:
    """All topics of a device begin with this, which ends in a slash. Raises MalformedTopic for a bad id."""
    checked_device_id(device_id)
    return f"{PREFIX}/{_SHARD_NAMES[shard_of(device_id)]}/{device_id}/"


def hello_topic(device_id: DeviceId) -> str:
    return topic_prefix(device_id) + "hello"


def report_topic(device_id: DeviceId) -> str:
    return topic_prefix(device_id) + "report"


def ack_topic(device_id: DeviceId) -> str:
    return topic_prefix(device_id) + "ack"


def welcome_topic(device_id: DeviceId) -> str:
    return topic_prefix(device_id) + "welcome"


def receipt_topic(device_id: DeviceId) -> str:
    return topic_prefix(device_id) + "receipt"


def command_topic(device_id: DeviceId) -> str:
    return topic_prefix(device_id) + "cmd"


def hello_filter(lane: int) -> str:
    """The subscription that hears every hello of a lane."""
    return f"{PREFIX}/{_SHARD_NAMES[lane]}/+/hello"


def report_filter(lane: int) -> str:
    """The subscription that hears every report of a lane."""
    return f"{PREFIX}/{_SHARD_NAMES[lane]}/+/report"


def ack_filter(lane: int) -> str:
    """The subscription that hears every ack of a lane."""
    return f"{PREFIX}/{_SHARD_NAMES[lane]}/+/ack"


def parse_topic(topic: str) -> Address:
    """Takes a topic apart. Raises MalformedTopic; does not say whether the shard is the device's own
    (compare with `shard_of`)."""
    levels = topic.split("/")
    if len(levels) != 5 or levels[0] != "lk" or levels[1] != "v1":
        raise MalformedTopic("not lk/v1/SHARD/DEVICE/CHANNEL", topic)
    _, _, shard_name, device_id, channel_name = levels
    shard = _SHARD_OF_NAME.get(shard_name)
    if shard is None:
        raise MalformedTopic("not a shard", topic)
    channel = _CHANNEL_OF_NAME.get(channel_name)
    if channel is None:
        raise MalformedTopic("not a channel", topic)
    if _DEVICE_ID.fullmatch(device_id) is None:
        raise MalformedTopic("not a device id", topic)
    return Address(shard, DeviceId(device_id), channel)
