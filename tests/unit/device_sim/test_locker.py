"""Laws of the life of a locker bank."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from device_sim.locker import Locker
from device_sim.movement import Place
from device_sim.profiles import PROFILES, Kind

MODEL = next(profile for profile in PROFILES if profile.kind is Kind.LOCKER)


@given(st.lists(st.booleans(), max_size=60))
def test_a_compartment_changes_hands_only_through_its_open_door(uses: list[bool]) -> None:
    chance = Random(3)
    bank = Locker(MODEL, Place(1.3, 103.8), chance=chance)
    for to_store in uses:
        before = list(bank.occupied)
        number = bank.open_door(0, chance, to_store=to_store)
        if number is None:
            assert all(full == to_store for full in before)
            continue
        assert bank.occupied == before
        assert before[number] != to_store
        open_report = bank.report(0, chance, keep=True)
        assert open_report.slots[number].door_closed is False
        bank.close_door(number)
        closed_report = bank.report(0, chance, keep=True)
        assert closed_report.slots[number].door_closed is True
        assert closed_report.slots[number].occupied is to_store
        assert sum(a != b for a, b in zip(before, bank.occupied, strict=True)) == 1


def test_a_door_that_stands_open_is_not_opened_again() -> None:
    chance = Random(4)
    bank = Locker(MODEL, Place(1.3, 103.8), chance=chance)
    numbers = [bank.open_door(0, chance, to_store=True) for _ in range(MODEL.slot_count)]
    opened = [number for number in numbers if number is not None]
    assert len(opened) == len(set(opened)) == bank.occupied.count(False)
