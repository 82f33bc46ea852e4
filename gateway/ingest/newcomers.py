"""How many devices may register themselves by saying hello: a script that draws ids must not fill the registry."""

from collections import Counter

from gateway.counters import IngestCounters

HOUR_MS = 3_600_000


class Newcomers:
    """Counts per model and hour, in this process. Who is refused may come again, and says hello again by itself."""

    def __init__(self, per_hour: int, counters: IngestCounters) -> None:
        """0 for no bound."""
        self._per_hour = per_hour
        self._counters = counters
        self._registered: Counter[str] = Counter()
        self._hour = -1

    def may_register(self, model: str, now_ms: int) -> bool:
        """Whether there is room for one more of this model; a refusal is counted."""
        if now_ms // HOUR_MS != self._hour:
            self._hour = now_ms // HOUR_MS
            self._registered.clear()
        if not self._per_hour or self._registered[model] < self._per_hour:
            return True
        self._counters.newcomer_refused(model)
        return False

    def registered(self, model: str) -> None:
        """One was; only models that exist are ever counted."""
        self._registered[model] += 1
