"""The feed of changes as values: what it carries, and how far a reader has heard it."""

from collections.abc import Sequence

from msgspec import Struct

from firmware_protocol.messages import DeviceId
from gateway.core.live_state import MapEntry


class FeedEntry(Struct, frozen=True, gc=False, array_like=True):
    """One change in the feed; `entry` None means the device can no longer be mapped."""

    device_id: DeviceId
    revision: int
    entry: MapEntry | None


class FeedPosition(Struct, frozen=True, gc=False):
    """How far a reader has heard one shard."""

    epoch: str
    counter: int
    """Changes announced in this epoch up to here."""
    stream_id: str


class FeedPart(Struct, frozen=True, gc=False):
    """The changes of one shard after a position, in order, without a gap."""

    shard: int
    position: FeedPosition
    entries: Sequence[FeedEntry]


class FillPage(Struct, frozen=True, gc=False):
    """Part of a shard's present; a cursor of 0 ends it."""

    cursor: int
    entries: Sequence[FeedEntry]
    """Also devices without an entry: their revision says which changes are older."""


class FeedGap(Exception):
    """The feed no longer holds what follows these positions: fill these shards again."""

    def __init__(self, shards: frozenset[int]) -> None:
        super().__init__("gap in the feed of shards " + ", ".join(f"{s:02x}" for s in sorted(shards)))
        self.shards = shards
