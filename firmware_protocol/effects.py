"""What a device session asks its edge to do."""

from dataclasses import dataclass


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


Effect = Publish | Subscribe | Connect
