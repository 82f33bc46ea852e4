"""What time it is at the gateway, for a device without a clock of its own: never earlier than it really is."""

DRIFT_PER = 10_000
"""A crystal is at most 100 ppm slow, hot or cold; the estimate runs ahead by as much."""
ROUNDING_MS = 2
"""Both ends round down."""
FRESH_FOR_MS = 3_600_000
"""After an hour the estimate may be a third of a second ahead, of which commands of a few seconds can spare no more."""


class ServerClock:
    """Counts from when an answered hello was *sent*: the gateway read its clock after that."""

    def __init__(self) -> None:
        self._read: tuple[int, int] | None = None
        self._asked_ms = 0

    def heard(self, server_time_ms: int, hello_sent_ms: int) -> None:
        """A welcome came. It counts when it is the first in an hour, or tells a time as early as the last one; one
        that answers an older hello never does."""
        if self._read is None:
            self._read, self._asked_ms = (server_time_ms, hello_sent_ms), hello_sent_ms
            return
        if hello_sent_ms < self._asked_ms:
            return
        self._asked_ms = hello_sent_ms
        believed_ms = self.at_most_ms(hello_sent_ms) or 0
        if server_time_ms + ROUNDING_MS <= believed_ms or hello_sent_ms - self._read[1] >= FRESH_FOR_MS:
            self._read = server_time_ms, hello_sent_ms

    def at_most_ms(self, now_ms: int) -> int | None:
        """Unix milliseconds that the gateway's clock has not passed yet; None before the first welcome."""
        if self._read is None:
            return None
        server_time_ms, sent_ms = self._read
        age_ms = now_ms - sent_ms
        return server_time_ms + age_ms + age_ms // DRIFT_PER + ROUNDING_MS

    def stale_at_ms(self) -> int | None:
        """When to ask again; None before the first welcome."""
        return None if self._read is None else self._asked_ms + FRESH_FOR_MS
