"""Live states due in `last_report`, held back until enough of them share one transaction."""

from collections.abc import Iterable

from gateway.core.live_state import LiveState
from gateway.ingest.state_cache import CachedState
from gateway.ports import LastReport

HOLD_MS = 1_000
"""A rebuild reads so much more history; in return most batches are a single COPY without a transaction around it."""

MANY = 256
"""A few milliseconds of PostgreSQL; so many do not wait any longer."""


class HeldSaves:
    """What is held when the process dies is not missing: a rebuild reads newer history too."""

    def __init__(self) -> None:
        self._held: dict[int, tuple[CachedState, LastReport]] = {}
        self._since_ms = 0

    def hold(self, cached: CachedState, state: LiveState, *, taken_ms: int, now_ms: int) -> None:
        """Of one device the newest counts. It may be written long after it was taken: when somebody is heard again."""
        if not self._held:
            self._since_ms = now_ms
        self._held[cached.device_no] = cached, LastReport(cached.device_no, state, taken_ms)

    def due(self, now_ms: int) -> list[LastReport]:
        """What to write now; the same again until it is `written`."""
        if len(self._held) < MANY and now_ms - self._since_ms < HOLD_MS:
            return []
        return [last for _, last in self._held.values()]

    def written(self, last_reports: Iterable[LastReport]) -> None:
        """They are committed."""
        for last in last_reports:
            cached, _ = self._held.pop(last.device_no)
            cached.saved_revision = last.state.revision
