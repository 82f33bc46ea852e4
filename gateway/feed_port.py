"""What a map needs of the feed of changes."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from gateway.core.feed import FeedPart, FeedPosition, FillPage


class ChangeFeed(Protocol):
    """The reading side of the feed. Take the position first, then fill, then follow from that position:
    an entry whose revision is not above the one already held changes nothing."""

    async def position(self, shard: int) -> FeedPosition:
        """Where the feed stands. Raises FeedEpochLost (no epoch yet, or none any more), StoreUnavailable."""

    async def fill(self, shard: int, cursor: int = 0) -> FillPage:
        """Some hundreds of devices. Raises StoreUnavailable."""

    async def follow(self, positions: Mapping[int, FeedPosition], wait_ms: int) -> Sequence[FeedPart]:
        """Waits for the first change after any of the positions, at most `wait_ms`; empty then.
        Raises FeedGap (nothing of that answer counts), StoreUnavailable."""
