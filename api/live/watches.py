"""Which sessions watch which cells."""

from collections.abc import Iterable
from typing import Protocol

from api.live.fleet_view import Succession
from gateway.core.live_state import MapEntry
from geo.cell import CellId, cell_at, level_of, parent

MAX_WATCHED_CELLS = 64
"""Cells one watch may register: of whichever level it takes to cover its box with that many."""

FINEST_LEVEL = 16
"""Finer cells than a city block would only mean more of them to join and to leave."""


class Watcher(Protocol):
    """Whoever wants to hear of changes; it checks for itself whether a change concerns it."""

    def hear(self, change: Succession) -> None: ...


class Watches:
    """Sessions by cell; a change asks only the cells above its two positions, one per level in use."""

    def __init__(self) -> None:
        self._levels: dict[int, dict[CellId, set[Watcher]]] = {}

    def __len__(self) -> int:
        return sum(len(watchers) for cells in self._levels.values() for watchers in cells.values())

    def join(self, watcher: Watcher, cells: Iterable[CellId]) -> None:
        """From now on the watcher hears what happens in these cells."""
        for cell in cells:
            self._levels.setdefault(level_of(cell), {}).setdefault(cell, set()).add(watcher)

    def leave(self, watcher: Watcher, cells: Iterable[CellId]) -> None:
        """Undoes `join` with the same cells."""
        for cell in cells:
            level = self._levels[level_of(cell)]
            level[cell].discard(watcher)
            if not level[cell]:
                del level[cell]
            if not level:
                del self._levels[level_of(cell)]

    def tell(self, change: Succession) -> set[Watcher]:
        """Lets everyone hear who watches where the device was or is. Returns who heard."""
        heard = self._near(change.before) | self._near(change.after)
        for watcher in heard:
            watcher.hear(change)
        return heard

    def _near(self, entry: MapEntry | None) -> set[Watcher]:
        found: set[Watcher] = set()
        if entry is None or not self._levels:
            return found
        finest = cell_at(entry.lat_e7, entry.lon_e7, FINEST_LEVEL)
        for level, cells in self._levels.items():
            found |= cells.get(parent(finest, level), frozenset())
        return found
