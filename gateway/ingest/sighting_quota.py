"""How many places of units one device may note: one that draws ever new units must not fill the disk."""

from collections import Counter
from collections.abc import Sequence

from gateway.ports import UnitSighting

HOUR_MS = 3_600_000

MAX_SIGHTINGS_OF_AN_HOUR = 1_000
"""A cabinet takes some five seconds for each unit that comes or goes, and notes up to 96 again after a restart."""


class SightingQuota:
    """Counts per device and hour, whatever becomes of the device's cached state: it can have that dropped."""

    def __init__(self, per_hour: int = MAX_SIGHTINGS_OF_AN_HOUR) -> None:
        self._per_hour = per_hour
        self._noted: Counter[int] = Counter()
        self._hour = -1

    def due(self, sightings: Sequence[UnitSighting], now_ms: int) -> Sequence[UnitSighting]:
        """Those that there is room for, in their order; says the same until `written` is called."""
        if not sightings:
            return sightings
        if now_ms // HOUR_MS != self._hour:
            self._hour = now_ms // HOUR_MS
            self._noted.clear()
        asked: Counter[int] = Counter()
        due = []
        for seen in sightings:
            asked[seen.device_no] += 1
            if self._noted[seen.device_no] + asked[seen.device_no] <= self._per_hour:
                due.append(seen)
        return due

    def written(self, due: Sequence[UnitSighting]) -> None:
        """They are committed."""
        self._noted.update(seen.device_no for seen in due)
