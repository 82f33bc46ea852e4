"""How long a batch lingers at the present rate; pure."""

from math import exp

LINGER_MAX_S = 0.004
"""Beyond this a longer batch saves little more CPU, and half of the changes would stand in the feed too late."""

LINGER_ROWS = 40.0
"""What a linger is to gather: with these a batch is large enough, so that at high rates changes are told sooner."""

RATE_AT_ONCE = 3_500.0
"""Up to this many rows a second a batch leaves at once: CPU is not short, and a map sees the change sooner."""

RATE_FULL_LINGER = 5_000.0
"""From here on a batch lingers as long as the two bounds above let it."""

MEMORY_S = 0.2
"""The rate is that of the last fifth of a second, roughly."""


class Pace:
    """Follows the rate of rows, and trades latency for CPU as it rises."""

    def __init__(self) -> None:
        self.rows_per_s = 0.0
        self._noted_at_s = float("-inf")

    def note(self, rows: int, now_s: float) -> None:
        """A batch of so many rows was taken now."""
        passed_s = now_s - self._noted_at_s
        self._noted_at_s = now_s
        if passed_s <= 0.0:
            return
        weight = 1.0 - exp(-passed_s / MEMORY_S)
        self.rows_per_s += (rows / passed_s - self.rows_per_s) * weight

    def linger_s(self) -> float:
        """Seconds to leave the sockets alone before the next batch is read."""
        share = (self.rows_per_s - RATE_AT_ONCE) / (RATE_FULL_LINGER - RATE_AT_ONCE)
        longest_s = min(LINGER_MAX_S, LINGER_ROWS / max(self.rows_per_s, 1.0))
        return longest_s * min(1.0, max(0.0, share))
