"""What a device session asks its edge to do."""

from dataclasses import dataclass

from firmware_protocol.commands import Command


@dataclass(frozen=True, slots=True)
class Publish:
    """Publish this, not retained."""

    topic: str
    payload: bytes
    qos: int


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Subscribe to these topics, QoS 1, before anything that follows is published."""

    topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Connect:
    """Open a link now; answer with `connected`, or with `disconnected` when it fails."""


@dataclass(frozen=True, slots=True)
class Remember:
    """Write `DeviceSession.remember()` to flash before anything that follows is carried out."""


@dataclass(frozen=True, slots=True)
class Execute:
    """Carry the command out now, never later, and answer with `executed` when its end is known."""

    command: Command


Effect = Publish | Subscribe | Connect | Remember | Execute
