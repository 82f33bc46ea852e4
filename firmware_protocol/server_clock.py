"""What time it is at the gateway, for a device without a clock of its own: never earlier than it really is."""

DRIFT_PER = 10_000
"""A crystal is at most 100 ppm slow, hot or cold; the estimate runs ahead by as much."""
ROUNDING_MS = 2
"""Both ends round down."""
FRESH_FOR_MS = 3_600_000
"""After an hour the estimate may be a third of a second ahead, of which commands of a few seconds can spare no more."""


class ServerClock:
    """Counts from when an answered hello was *sent*: the gateway read its clock after that. And from when an answer
    *came*: it had read its clock by then. A hello is not signed, so whoever is in between can say one for later."""

    def __init__(self) -> None:
        self._read: tuple[int, int] | None = None
        self._least: tuple[int, int] | None = None
        self._asked_ms = 0

    def heard(self, server_time_ms: int, hello_sent_ms: int, now_ms: int) -> None:
        """A welcome came now. It counts when it is the first in an hour, or tells a time as early as the last one; one
        that answers an older hello never does."""
        if self._least is None or server_time_ms - ROUNDING_MS > _least_ms(self._least, now_ms):
            self._least = server_time_ms, now_ms
        if self._read is None:
            self._read, self._asked_ms = (server_time_ms, hello_sent_ms), hello_sent_ms
            return
        if hello_sent_ms < self._asked_ms:
            return
        self._asked_ms = hello_sent_ms
        believed_ms = _most_ms(self._read, hello_sent_ms)
        if server_time_ms + ROUNDING_MS <= believed_ms or hello_sent_ms - self._read[1] >= FRESH_FOR_MS:
            self._read = server_time_ms, hello_sent_ms

    def at_most_ms(self, now_ms: int) -> int | None:
        """Unix milliseconds that the gateway's clock has not passed yet; None before the first welcome."""
        if self._read is None or self._least is None:
            return None
        return max(_most_ms(self._read, now_ms), _least_ms(self._least, now_ms))

    def stale_at_ms(self) -> int | None:
        """When to ask again; None before the first welcome."""
        return None if self._read is None else self._asked_ms + FRESH_FOR_MS


def _most_ms(read: tuple[int, int], now_ms: int) -> int:
    server_time_ms, sent_ms = read
    age_ms = now_ms - sent_ms
    return server_time_ms + age_ms + age_ms // DRIFT_PER + ROUNDING_MS


def _least_ms(least: tuple[int, int], now_ms: int) -> int:
    """What it is at least, for a crystal that is as fast as another is slow."""
    server_time_ms, came_ms = least
    age_ms = now_ms - came_ms
    return server_time_ms + age_ms - age_ms // DRIFT_PER - ROUNDING_MS
