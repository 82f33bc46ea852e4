"""Latest change per device, bounded by what is in view."""

from typing import NamedTuple

from gateway.core.live_state import MapEntry


class Parcel(NamedTuple):
    """What one frame carries."""

    shown: list[MapEntry]
    moved: list[MapEntry]
    vanished: list[str]


class ChangeOutbox:
    """What a client still has to hear, by public id.

    A device stands in one of three places: shown (the client does not have it), moved (it has an
    older value) or vanished (it has it and must not). What happens before a drain only moves it from
    one to another, so a slow client gets fewer changes, and never an older one after a newer.
    """

    def __init__(self) -> None:
        self._shown: dict[str, MapEntry] = {}
        self._moved: dict[str, MapEntry] = {}
        self._vanished: dict[str, None] = {}
        self.told = 0
        """Devices the client has once it has read everything drained so far."""

    def __len__(self) -> int:
        return len(self._shown) + len(self._moved) + len(self._vanished)

    @property
    def due(self) -> int:
        """Devices the client will have when the outbox is empty."""
        return self.told + len(self._shown) - len(self._vanished)

    def begin(self, entries: list[MapEntry]) -> None:
        """Forgets everything: the client starts from nothing and is to have these."""
        self._shown = {entry.public_id: entry for entry in entries}
        self._moved, self._vanished, self.told = {}, {}, 0

    def show(self, entry: MapEntry) -> None:
        """The device came into view."""
        if entry.public_id in self._vanished:
            del self._vanished[entry.public_id]
            self._moved[entry.public_id] = entry
        else:
            self._shown[entry.public_id] = entry

    def move(self, entry: MapEntry) -> None:
        """The device is still in view, with another value."""
        place = self._shown if entry.public_id in self._shown else self._moved
        place[entry.public_id] = entry

    def vanish(self, public_id: str) -> None:
        """The device left the view."""
        if self._shown.pop(public_id, None) is None:
            self._moved.pop(public_id, None)
            self._vanished[public_id] = None

    def drain(self, limit: int) -> Parcel:
        """Takes out at most `limit` devices: farewells first, then what is on the map, then arrivals."""
        vanished = _take_ids(self._vanished, limit)
        moved = _take(self._moved, limit - len(vanished))
        shown = _take(self._shown, limit - len(vanished) - len(moved))
        self.told += len(shown) - len(vanished)
        return Parcel(shown, moved, vanished)


def _take(place: dict[str, MapEntry], limit: int) -> list[MapEntry]:
    if len(place) <= limit:
        taken = list(place.values())
        place.clear()
        return taken
    return [place.pop(public_id) for public_id in _first(place, limit)]


def _take_ids(place: dict[str, None], limit: int) -> list[str]:
    taken = _first(place, limit)
    for public_id in taken:
        del place[public_id]
    return taken


def _first(place: dict[str, MapEntry] | dict[str, None], limit: int) -> list[str]:
    return [public_id for public_id, _ in zip(place, range(limit), strict=False)]
