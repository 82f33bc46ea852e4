"""How many units a device offers and how many it can take back."""

from msgspec import Struct

from firmware_protocol.messages import Bolt, Slot
from gateway.core.device import DeviceModel, Kind


class SlotCounts(Struct, frozen=True, gc=False):
    """Units to rent, and spaces to return into."""

    units: int
    spaces: int


NO_SLOTS = SlotCounts(0, 0)


def count_slots(model: DeviceModel, slots: tuple[Slot, ...]) -> SlotCounts:
    """A bike has none; faulty slots count for nothing."""
    if model.kind is Kind.CABINET:
        return _count_cabinet(slots, model.battery_low_pct)
    if model.kind is Kind.LOCKER:
        return SlotCounts(sum(_is_free_compartment(slot) for slot in slots), 0)
    return NO_SLOTS


def _count_cabinet(slots: tuple[Slot, ...], charge_low_pct: int) -> SlotCounts:
    """A unit whose charge no sensor tells counts as charged: a dock of plain bikes has no such sensor."""
    units = spaces = 0
    for slot in slots:
        if slot.faults:
            continue
        if slot.unit_id is not None:
            charge_pct = slot.charge_pct
            if charge_pct is None or charge_pct >= charge_low_pct:
                units += 1
        elif not slot.occupied:
            spaces += 1
    return SlotCounts(units, spaces)


def _is_free_compartment(slot: Slot) -> bool:
    """Free, and closed as far as its sensors tell."""
    return (
        not slot.faults
        and not slot.occupied
        and slot.unit_id is None
        and slot.door_closed is not False
        and (slot.bolt is None or slot.bolt is Bolt.CLOSED)
    )
