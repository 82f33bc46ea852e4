"""How often somebody may do something: token buckets, shared in Redis, and in memory while Redis is away."""

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

MAX_LOCAL_BUCKETS = 20_000
"""Whoever makes more names than that only gets fresh buckets while Redis is away."""


class Bucket(Struct, frozen=True):
    """What one name may do; the first `capacity` at once, then so many per second."""

    name: str
    capacity: float
    per_s: float


class RateLimits(Protocol):
    """Where buckets are kept."""

    async def take(self, buckets: Sequence[Bucket]) -> int:
        """Takes one token out of each, or none at all; 0, or the milliseconds until all could give one.
        Raises StoreUnavailable."""


class LocalRateLimits:
    """The buckets of one process."""

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._left: dict[str, tuple[float, float]] = {}
        """Tokens, and when that was."""

    async def take(self, buckets: Sequence[Bucket]) -> int:
        """As the port says; never raises."""
        now_s = self._monotonic_s()
        left = [self._left_in(bucket, now_s) for bucket in buckets]
        empty = [
            (1 - tokens) / bucket.per_s for bucket, tokens in zip(buckets, left, strict=True) if tokens < 1
        ]
        if empty:
            return int(max(empty) * 1000) + 1
        for bucket, tokens in zip(buckets, left, strict=True):
            if bucket.name not in self._left and len(self._left) >= MAX_LOCAL_BUCKETS:
                del self._left[next(iter(self._left))]
            self._left[bucket.name] = (tokens - 1, now_s)
        return 0

    def _left_in(self, bucket: Bucket, now_s: float) -> float:
        tokens, at_s = self._left.get(bucket.name, (bucket.capacity, now_s))
        return min(bucket.capacity, tokens + (now_s - at_s) * bucket.per_s)
