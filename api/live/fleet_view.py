"""Every mappable device by cell, in memory."""

from collections import Counter
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple, cast

import numpy as np
from msgspec import Struct

from api.live.device_grid import DeviceGrid
from api.live.nearest import nearest
from api.live.traits import MapFilter, traits_of
from firmware_protocol.messages import DeviceId
from gateway.core.live_state import MapEntry, Presence, Reason
from geo.box import BoundingBox, around
from geo.cell import CellId
from geo.point import Point

MAX_DEVICES_IN_VIEW = 10_000
"""What a browser still draws smoothly and a phone still loads (1.7 MB); wider views need counts."""

MAX_DEVICES_SCANNED = 100_000
"""Devices looked at for one view before the filter: 5 ms of the loop that everyone shares."""


_WORTH_A_SHORT_LOOK = 0.7
"""Half the area: looking twice then costs little more than looking once."""


class TooManyDevices(Exception):
    """A box holds more devices than one map can show."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit} devices in the box")
        self.limit = limit


class Succession(Struct, frozen=True, gc=False):
    """What maps knew of one device, and what they must know now; None where it was or is not mapped."""

    before: MapEntry | None
    after: MapEntry | None


Near = tuple[MapEntry, float]
"""A device and how far it is, in metres."""


class Tally(NamedTuple):
    """What the fleet is counted by."""

    operator_id: int
    kind: int
    available: bool
    presence: Presence


class FleetView:
    """One value per device, found by place; single-threaded, so every reader sees one moment."""

    def __init__(self) -> None:
        self._grid = DeviceGrid()
        self._slots: dict[DeviceId, int] = {}
        self._entries: list[MapEntry | None] = []
        self._free: list[int] = []
        self._tallies: Counter[Tally] = Counter()
        self._operators: Counter[int] = Counter()
        self.changes = 0
        """Counts everything that was applied; the cursor of a map client is made from it."""

    def __len__(self) -> int:
        return len(self._slots)

    def __iter__(self) -> Iterator[MapEntry]:
        return (entry for entry in self._entries if entry is not None)

    def apply(self, device_id: DeviceId, entry: MapEntry | None) -> Succession | None:
        """Takes over what is now true of one device; None when nothing changed."""
        slot = self._slots.get(device_id)
        before = None if slot is None else self._entries[slot]
        if before == entry:
            return None
        self.changes += 1
        if entry is None:
            self._remove(device_id)
        else:
            self._put(device_id, entry, slot)
        if before is not None:
            self._tallies[_tally(before)] -= 1
        self._count_operators(before, entry)
        return Succession(before, entry)

    def get(self, device_id: DeviceId) -> MapEntry | None:
        """What maps know of the device."""
        slot = self._slots.get(device_id)
        return None if slot is None else self._entries[slot]

    def tallies(self, operator_id: int) -> dict[Tally, int]:
        """How many devices of this operator there are of each sort."""
        counted = self._tallies.items()
        return {tally: count for tally, count in counted if count and tally.operator_id == operator_id}

    def nearby(self, centre: Point, radius_m: float, wanted: MapFilter, *, limit: int) -> list[Near]:
        """The nearest devices within the radius that the filter accepts, nearest first."""
        if self._is_only(wanted.operator_id):
            # Where everything is theirs, to ask each device whose it is would be a tenth of the answer's time.
            wanted = MapFilter(wanted.kinds, wanted.only_available, wanted.min_battery_pct)
        crowded_m = self._grid.crowded_within_m(centre, count=2 * limit)
        if crowded_m < radius_m * _WORTH_A_SHORT_LOOK:
            # Whoever is farther than `limit` others need not be looked at.
            found = self._look_around(centre, crowded_m, wanted, limit)
            if len(found) == limit:
                return found
        return self._look_around(centre, radius_m, wanted, limit)

    def _is_only(self, operator_id: int) -> bool:
        return len(self._operators) == 1 and operator_id in self._operators

    def _count_operators(self, before: MapEntry | None, after: MapEntry | None) -> None:
        was, now = (None if one is None else one.operator_id for one in (before, after))
        if was == now:
            return
        if now is not None:
            self._operators[now] += 1
        if was is not None:
            self._operators[was] -= 1
            if not self._operators[was]:
                del self._operators[was]

    def _look_around(self, centre: Point, radius_m: float, wanted: MapFilter, limit: int) -> list[Near]:
        box = around(centre, radius_m)
        rows = self._grid.rows_around(box)
        slots, distances_m = nearest(rows, centre, box, radius_m=radius_m, wanted=wanted, limit=limit)
        return list(zip(self._entries_of(slots), distances_m, strict=True))

    def _entries_of(self, slots: Sequence[int]) -> Sequence[MapEntry]:
        # A row of the grid always has its entry: both are put and taken out together.
        entries = cast("list[MapEntry]", self._entries)
        if len(slots) < 2:
            return [entries[slot] for slot in slots]
        # No cache holds a million entries. Fetched in one sweep, the processor waits for many of them at the same
        # time; fetched by a loop of ours, for each after the other.
        found: tuple[MapEntry, ...] = itemgetter(*slots)(entries)
        return found

    def within(
        self, box: BoundingBox, wanted: MapFilter, *, limit: int = MAX_DEVICES_IN_VIEW
    ) -> list[MapEntry]:
        """Every device in the box that the filter accepts, `limit` at most. Raises TooManyDevices; never truncates."""
        cells = self._bounded(self._grid.occupied(box))
        columns = np.frombuffer(self._grid.rows_in(cells), dtype=np.int32).reshape(-1, 4)
        hits = wanted.accepts_each(columns[:, 2])
        lat_e7, lon_e7 = columns[:, 0], columns[:, 1]
        hits &= (lat_e7 >= box.south_e7) & (lat_e7 <= box.north_e7)
        east_of_west, west_of_east = lon_e7 >= box.west_e7, lon_e7 <= box.east_e7
        crosses = box.west_e7 > box.east_e7
        hits &= (east_of_west | west_of_east) if crosses else (east_of_west & west_of_east)
        slots = columns[hits, 3]
        most = min(limit, MAX_DEVICES_IN_VIEW)
        if len(slots) > most:
            raise TooManyDevices(most)
        return [entry for slot in slots.tolist() if (entry := self._entries[slot]) is not None]

    def _bounded(self, cells: Iterator[CellId]) -> Iterator[CellId]:
        scanned = 0
        for cell in cells:
            scanned += self._grid.row_count(cell)
            if scanned > MAX_DEVICES_SCANNED:
                raise TooManyDevices(MAX_DEVICES_SCANNED)
            yield cell

    def _put(self, device_id: DeviceId, entry: MapEntry, slot: int | None) -> None:
        if slot is None:
            slot = self._free.pop() if self._free else len(self._entries)
            self._slots[device_id] = slot
        if slot == len(self._entries):
            self._entries.append(entry)
        else:
            self._entries[slot] = entry
        self._tallies[_tally(entry)] += 1
        self._grid.put(slot, lat_e7=entry.lat_e7, lon_e7=entry.lon_e7, traits=traits_of(entry))

    def _remove(self, device_id: DeviceId) -> None:
        slot = self._slots.pop(device_id)
        self._entries[slot] = None
        self._free.append(slot)
        self._grid.take_out(slot)


def _tally(entry: MapEntry) -> Tally:
    reasons = {reason for reason, _ in entry.reasons}
    if Reason.LOST in reasons or Reason.NEVER_HEARD in reasons:
        presence = Presence.LOST
    else:
        presence = Presence.QUIET if Reason.QUIET in reasons else Presence.ONLINE
    return Tally(entry.operator_id, entry.kind, entry.available, presence)
