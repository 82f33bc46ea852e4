"""What must hold of any bytes given to the codec: valid and stable, or MalformedFrame."""

import math
from collections.abc import Iterator
from typing import Any

import msgspec

from firmware_protocol.codec import Encoding
from firmware_protocol.errors import MalformedFrame, MalformedTopic
from firmware_protocol.topics import parse_topic
from tests.vectors import foreign, regenerate

MESSAGES = ("report", "hello", "welcome", "receipt")


def check_frame(which: int, frame: bytes) -> None:
    """A frame that decodes is storable, and encodes to one that decodes to the same."""
    message = MESSAGES[which]
    try:
        decoded = regenerate.DECODERS[message](frame)
    except MalformedFrame as fault:
        if not fault.reason or not fault.at:
            raise AssertionError("a fault without where and why") from fault
        return
    fields = msgspec.to_builtins(decoded)
    fields.pop("power_on_id", None)
    check_storable(fields)
    for encoding in Encoding:
        again = regenerate.ENCODERS[message](decoded, encoding=encoding)
        if regenerate.DECODERS[message](again) != decoded:
            raise AssertionError(f"{message} changed by {encoding}")


def check_topic(topic: bytes) -> None:
    """A topic is parsed or malformed."""
    try:
        parse_topic(topic.decode(errors="surrogateescape"))
    except MalformedTopic:
        return


def check_storable(value: Any) -> None:
    """Raises AssertionError for what PostgreSQL's bigint, double precision and text cannot hold."""
    if isinstance(value, dict):
        for item in value.values():
            check_storable(item)
    elif isinstance(value, list | tuple):
        for item in value:
            check_storable(item)
    elif isinstance(value, int):
        _require(-(2**63) <= value < 2**63, value)
    elif isinstance(value, float):
        _require(math.isfinite(value), value)
    elif isinstance(value, str):
        _require(value.isascii() and value.isprintable(), value)


def _require(held: bool, value: object) -> None:
    if not held:
        raise AssertionError(f"cannot be stored: {value!r}")


def seed_frames() -> Iterator[bytes]:
    """Every golden frame behind the byte that chooses its decoder."""
    for message, named in regenerate.SAMPLES.items():
        for _, value in named.values():
            for encoding in Encoding:
                yield bytes([MESSAGES.index(message)]) + regenerate.ENCODERS[message](
                    value, encoding=encoding
                )
    for _, message, _, frame in (*foreign.FOREIGN, *foreign.MALFORMED):
        yield bytes([MESSAGES.index(message)]) + frame[:4000]
    for topic, _ in foreign.MALFORMED_TOPICS:
        yield b"\x07" + topic.encode()
