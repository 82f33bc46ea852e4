"""A change reaches exactly those who watch where the device was or is."""

from hypothesis import given
from hypothesis import strategies as st

from api.live.fleet_view import Succession
from api.live.watches import FINEST_LEVEL, MAX_WATCHED_CELLS, Watches
from gateway.core.live_state import MapEntry
from geo.box import WHOLE_EARTH, BoundingBox
from geo.cell import deepest_cover
from tests.unit.api.live.entries import entries, entry
from tests.unit.geo.test_box import boxes


class Listener:
    def __init__(self) -> None:
        self.heard: list[Succession] = []

    def hear(self, change: Succession) -> None:
        self.heard.append(change)


@given(st.lists(boxes(), max_size=5), entries(), entries())
def test_whoever_watches_a_box_hears_of_every_device_that_comes_stays_or_goes(
    areas: list[BoundingBox], before: MapEntry, after: MapEntry
) -> None:
    watches = Watches()
    listeners = [(area, Listener()) for area in (*areas, WHOLE_EARTH)]
    for area, listener in listeners:
        watches.join(listener, deepest_cover(area, deepest=FINEST_LEVEL, limit=MAX_WATCHED_CELLS))
    heard = watches.tell(Succession(before, after))
    for area, listener in listeners:
        concerned = any(area.contains(one.lat_e7, one.lon_e7) for one in (before, after))
        assert len(listener.heard) <= 1
        assert (listener in heard) == bool(listener.heard)
        assert not concerned or listener.heard


def test_who_has_left_hears_nothing_and_leaves_nothing_behind() -> None:
    watches, listener = Watches(), Listener()
    cells = deepest_cover(WHOLE_EARTH, deepest=FINEST_LEVEL, limit=MAX_WATCHED_CELLS)
    watches.join(listener, cells)
    watches.leave(listener, cells)
    assert len(watches) == 0
    assert watches.tell(Succession(None, entry(1))) == set()
