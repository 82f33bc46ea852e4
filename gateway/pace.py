"""How long a batch lingers at the present rate and load; pure."""

from math import exp

LINGER_MAX_S = 0.004
"""Beyond this a longer batch saves little more CPU, and half of the changes would stand in the feed too late."""

LINGER_ROWS = 38.0
"""What a linger is to gather: with these a batch is large enough, so that at high rates changes are told sooner."""

RATE_AT_ONCE = 3_500.0
"""Up to this many rows a second a batch leaves at once, if CPU is not short: a map sees the change sooner."""

RATE_FULL_LINGER = 5_000.0
"""From here on a batch lingers as long as the two bounds above let it."""

BUSY_AT_ONCE = 0.3
"""So much of a core may be used at any rate: on a slow machine CPU is short long before the rate is high, and whatever
else is under way, an unlock first of all, waits behind batches of a few rows."""

BUSY_FULL_LINGER = 0.5
"""From here on a batch lingers whatever the rate is, if it gathers anything."""

RATE_WORTH_IT = 500.0
RATE_WELL_WORTH_IT = 1_000.0
"""Below the first the longest linger gathers two rows and saves next to nothing; from the second on it may be used in
full."""

TIMER_STEP_S = 0.001
"""The timers of the event loop count whole milliseconds, and round."""

MEMORY_S = 0.2
"""Rate and load are those of the last fifth of a second, roughly."""


class Pace:
    """Follows the rate of rows and the load of this thread, and trades latency for CPU as they rise."""

    def __init__(self) -> None:
        self.rows_per_s = 0.0
        self.busy = 0.0
        """The share of a core that this thread uses."""
        self._noted_at_s = float("-inf")
        self._worked_s = 0.0
        self._rounded_off_s = 0.0

    def note(self, rows: int, now_s: float, worked_s: float) -> None:
        """A batch of so many rows was taken now; this thread has used so much CPU in its life."""
        passed_s, used_s = now_s - self._noted_at_s, worked_s - self._worked_s
        self._noted_at_s, self._worked_s = now_s, worked_s
        if passed_s <= 0.0:
            return
        weight = 1.0 - exp(-passed_s / MEMORY_S)
        self.rows_per_s += (rows / passed_s - self.rows_per_s) * weight
        self.busy += (used_s / passed_s - self.busy) * weight

    def linger_s(self) -> float:
        """Seconds to leave the sockets alone before the next batch is read."""
        by_rate = _between(RATE_AT_ONCE, self.rows_per_s, RATE_FULL_LINGER)
        by_load = _between(BUSY_AT_ONCE, self.busy, BUSY_FULL_LINGER)
        worth_it = _between(RATE_WORTH_IT, self.rows_per_s, RATE_WELL_WORTH_IT)
        longest_s = min(LINGER_MAX_S, LINGER_ROWS / max(self.rows_per_s, 1.0))
        return longest_s * max(by_rate, by_load * worth_it)

    def next_linger_s(self) -> float:
        """The same in whole steps of a timer: what is rounded off now is made up for later, so that linger upon linger
        takes what was meant. Less than a step stays what it is, and passes in no time."""
        linger_s = self.linger_s()
        if linger_s < TIMER_STEP_S:
            return linger_s
        due_s = linger_s + self._rounded_off_s
        steps_s = round(due_s / TIMER_STEP_S) * TIMER_STEP_S
        self._rounded_off_s = due_s - steps_s
        return steps_s


def _between(low: float, value: float, high: float) -> float:
    """0 at `low` and below, 1 at `high` and above."""
    return min(1.0, max(0.0, (value - low) / (high - low)))
