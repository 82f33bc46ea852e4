"""Units and spaces of cabinets and lockers."""

import pytest

from firmware_protocol.messages import Bolt, Slot
from gateway.core.slots import NO_SLOTS, SlotCounts, count_slots
from tests.support.fakes.samples import BIKE, CABINET, LOCKER

UNIT, SPACE, NEITHER = SlotCounts(1, 0), SlotCounts(0, 1), NO_SLOTS


@pytest.mark.parametrize(
    ("slot", "counts"),
    [
        (Slot(1, unit_id="bank", charge_pct=15), UNIT),
        (Slot(1, unit_id="bank", charge_pct=14), NEITHER),
        (Slot(1, unit_id="bike"), UNIT),
        (Slot(1, unit_id="bank", charge_pct=90, faults=("contact",)), NEITHER),
        (Slot(1), SPACE),
        (Slot(1, occupied=False), SPACE),
        (Slot(1, occupied=True), NEITHER),
        (Slot(1, faults=("jammed",)), NEITHER),
    ],
)
def test_a_cabinet_counts_charged_units_and_empty_healthy_slots(slot: Slot, counts: SlotCounts) -> None:
    assert count_slots(CABINET, (slot,)) == counts


@pytest.mark.parametrize(
    ("slot", "free"),
    [
        (Slot(1, bolt=Bolt.CLOSED, door_closed=True, occupied=False), True),
        (Slot(1), True),
        (Slot(1, occupied=True), False),
        (Slot(1, unit_id="parcel"), False),
        (Slot(1, door_closed=False), False),
        (Slot(1, bolt=Bolt.BETWEEN), False),
        (Slot(1, faults=("hinge",)), False),
    ],
)
def test_a_locker_counts_free_closed_compartments(slot: Slot, free: bool) -> None:
    assert count_slots(LOCKER, (slot,)) == SlotCounts(int(free), 0)


def test_slots_add_up_and_a_bike_has_none() -> None:
    slots = (Slot(1, unit_id="a"), Slot(2, unit_id="b"), Slot(3), Slot(4, occupied=True))
    assert count_slots(CABINET, slots) == SlotCounts(2, 1)
    assert count_slots(BIKE, slots) == NO_SLOTS
