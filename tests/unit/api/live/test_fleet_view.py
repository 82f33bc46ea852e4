"""The fleet view answers as brute force over its devices would."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from api.live import fleet_view
from api.live.fleet_view import FleetView, TooManyDevices
from api.live.traits import MapFilter, traits_of
from gateway.core.live_state import MapEntry
from geo.box import WHOLE_EARTH, BoundingBox
from geo.point import Point, haversine_m
from tests.unit.api.live.entries import entries, entry
from tests.unit.api.live.test_traits import filters
from tests.unit.geo.test_box import boxes, points

steps = st.lists(st.one_of(entries(), st.integers(0, 7)), max_size=40)


def _applied(changes: list[MapEntry | int]) -> tuple[FleetView, dict[str, MapEntry]]:
    view, model = FleetView(), dict[str, MapEntry]()
    for change in changes:
        device_id = f"d{change}" if isinstance(change, int) else change.device_id
        after = None if isinstance(change, int) else change
        before = model.pop(device_id, None)
        became = view.apply(device_id, after)  # type: ignore[arg-type]  # a plain string is an id here
        assert (became is None) == (before == after)
        assert became is None or (became.before, became.after) == (before, after)
        if after is not None:
            model[device_id] = after
    return view, model


@given(steps, boxes(), filters)
def test_a_box_holds_what_brute_force_finds(
    changes: list[MapEntry | int], box: BoundingBox, wanted: MapFilter
) -> None:
    view, model = _applied(changes)
    for area in (box, WHOLE_EARTH):
        expected = {
            one.device_id
            for one in model.values()
            if area.contains(one.lat_e7, one.lon_e7) and wanted.accepts(traits_of(one))
        }
        found = view.within(area, wanted)
        assert {one.device_id for one in found} == expected
        assert len(found) == len(expected)


@given(steps, points, st.floats(10, 10_000), filters, st.integers(1, 10))
def test_nearby_is_what_brute_force_finds(
    changes: list[MapEntry | int], far: Point, radius_m: float, wanted: MapFilter, limit: int
) -> None:
    view, model = _applied(changes)
    for centre in (far, *(Point(one.lat_e7, one.lon_e7) for one in model.values())):
        exact = sorted(
            haversine_m(centre, Point(one.lat_e7, one.lon_e7))
            for one in model.values()
            if wanted.accepts(traits_of(one))
        )
        expected = [distance_m for distance_m in exact if distance_m <= radius_m][:limit]
        found = view.nearby(centre, radius_m, wanted, limit=limit)
        assert [distance_m for _, distance_m in found] == pytest.approx(expected, abs=0.01)


@given(steps)
def test_counts_follow_every_change(changes: list[MapEntry | int]) -> None:
    view, model = _applied(changes)
    assert len(view) == len(model)
    assert {one.device_id: one for one in view} == model
    counted = Counter((one.kind, one.available) for one in model.values())
    tallied: Counter[tuple[int, bool]] = Counter()
    for tally, count in view.tallies(1).items():
        tallied[tally.kind, tally.available] += count
    assert tallied == counted
    for one in model.values():
        assert view.get(one.device_id) == one


def test_a_view_that_is_too_full_is_refused_and_never_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    view = FleetView()
    for number in range(5):
        view.apply(entry(number).device_id, entry(number))
    monkeypatch.setattr(fleet_view, "MAX_DEVICES_IN_VIEW", 4)
    with pytest.raises(TooManyDevices):
        view.within(WHOLE_EARTH, MapFilter())
    monkeypatch.setattr(fleet_view, "MAX_DEVICES_SCANNED", 3)
    with pytest.raises(TooManyDevices):
        view.within(WHOLE_EARTH, MapFilter(min_battery_pct=100))


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from([None, 1, 2, 3])), max_size=40))
def test_near_is_ones_own_whoever_came_and_went(changes: list[tuple[int, int | None]]) -> None:
    view, owners = FleetView(), dict[int, int]()
    for number, operator_id in changes:
        owners.pop(number, None)
        after = None if operator_id is None else structs.replace(entry(number), operator_id=operator_id)
        if operator_id is not None:
            owners[number] = operator_id
        view.apply(entry(number).device_id, after)
        centre = Point(entry(0).lat_e7, entry(0).lon_e7)
        for asked in (1, 2, 3):
            wanted = MapFilter(only_available=False, operator_id=asked)
            found = {one.public_id for one, _ in view.nearby(centre, 5_000, wanted, limit=50)}
            assert found == {f"p{one}" for one, owner in owners.items() if owner == asked}
            assert {one.public_id for one in view.within(WHOLE_EARTH, wanted)} == found
            assert sum(view.tallies(asked).values()) == len(found)
