"""What time it is at the gateway, for a device without a clock of its own: never earlier than it really is."""

DRIFT_PER = 10_000
"""A crystal is at most 100 ppm slow, hot or cold; the estimate runs ahead by as much."""
FRESH_FOR_MS = 3_600_000
"""After an hour the estimate may be a third of a second ahead, of which commands of a few seconds can spare no more."""


class ServerClock:
    """Counts from when the newest answered hello was *sent*: the gateway read its clock after that."""

    def __init__(self) -> None:
        self._read: tuple[int, int] | None = None

    def heard(self, server_time_ms: int, hello_sent_ms: int) -> None:
        """A welcome came. One that answers an older hello than the last one told nothing new."""
        if self._read is None or hello_sent_ms >= self._read[1]:
            self._read = server_time_ms, hello_sent_ms

    def at_most_ms(self, now_ms: int) -> int | None:
        """Unix milliseconds that the gateway's clock has not passed yet; None before the first welcome."""
        if self._read is None:
            return None
        server_time_ms, sent_ms = self._read
        age_ms = now_ms - sent_ms
        # One more, since both ends round down.
        return server_time_ms + age_ms + age_ms // DRIFT_PER + 2

    def stale_at_ms(self) -> int | None:
        """When to ask again; None before the first welcome."""
        return None if self._read is None else self._read[1] + FRESH_FOR_MS
