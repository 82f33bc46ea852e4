"""What a filter asks of one device, it asks of a column."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from api.live.traits import ALL_KINDS, MapFilter, kinds_mask, traits_of
from gateway.core.device import Kind
from gateway.core.live_state import MapEntry
from tests.unit.api.live.entries import entries, entry

filters = st.builds(
    MapFilter,
    kinds=st.sets(st.sampled_from(Kind)).map(kinds_mask),
    only_available=st.booleans(),
    min_battery_pct=st.integers(0, 100),
    operator_id=st.sampled_from([0, 1, 2, 524_287]),
)


@given(st.lists(entries()), filters)
def test_a_column_is_filtered_as_its_devices_are(devices: list[MapEntry], wanted: MapFilter) -> None:
    traits = [traits_of(one) for one in devices]
    assert wanted.accepts_each(np.array(traits, dtype=np.int32)).tolist() == [
        wanted.accepts(one) for one in traits
    ]


@given(entries(), filters)
def test_a_filter_means_what_it_says(device: MapEntry, wanted: MapFilter) -> None:
    kind_fits = bool(wanted.kinds & kinds_mask({Kind(device.kind)}))
    charge_fits = device.kind != Kind.BIKE or (device.battery_pct or 0) >= wanted.min_battery_pct
    open_fits = device.available or not wanted.only_available
    owner_fits = wanted.operator_id in (0, device.operator_id)
    fits = kind_fits and charge_fits and open_fits and owner_fits
    assert wanted.accepts(traits_of(device)) == fits


@given(entries(), st.integers(1, 524_287), st.integers(1, 524_287))
def test_operators_are_never_mistaken_for_each_other(device: MapEntry, owner: int, asking: int) -> None:
    traits = traits_of(structs.replace(device, operator_id=owner))
    assert -(2**31) <= traits < 2**31
    assert MapFilter(only_available=False, operator_id=asking).accepts(traits) == (owner == asking)


def test_a_bike_of_unknown_charge_counts_as_empty_and_a_cabinet_has_no_charge_to_ask_for() -> None:
    wanted = MapFilter(min_battery_pct=1)
    assert not wanted.accepts(traits_of(entry(1, battery_pct=None)))
    assert wanted.accepts(traits_of(entry(1, kind=Kind.CABINET, battery_pct=None)))


def test_no_kinds_means_every_kind() -> None:
    assert kinds_mask(()) == ALL_KINDS
