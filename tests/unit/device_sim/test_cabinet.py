"""Laws of the life of a cabinet."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from device_sim.cabinet import RENTABLE_CHARGE_PCT, Bank, Cabinet
from device_sim.movement import Place
from device_sim.profiles import PROFILES

MODEL = next(profile for profile in PROFILES if profile.slot_count == 12)


def cabinet(charges: list[float]) -> Cabinet:
    banks = [Bank(f"B{number}", charge, 0) for number, charge in enumerate(charges)]
    return Cabinet(MODEL, Place(1.3, 103.8), banks=banks, chance=Random(1))


@given(st.lists(st.floats(0, 100), max_size=12), st.lists(st.booleans(), max_size=40))
def test_banks_are_conserved_and_openings_only_rise(charges: list[float], takes: list[bool]) -> None:
    box, chance, pocket = cabinet(charges), Random(2), []
    for step, take in enumerate(takes):
        now_ms = step * 600_000
        openings = sum(box.openings)
        if take:
            bank = box.take(now_ms)
            if bank is not None:
                assert bank.charge_pct >= RENTABLE_CHARGE_PCT
                pocket.append(bank)
        elif pocket:
            box.put(pocket.pop(), now_ms, chance)
        assert openings <= sum(box.openings) <= openings + 1
        report = box.report(now_ms, chance, keep=True)
        ids = [slot.unit_id for slot in report.slots if slot.unit_id]
        assert sorted(ids + [bank.unit_id for bank in pocket]) == sorted(f"B{n}" for n in range(len(charges)))
        assert all(slot.occupied == (slot.unit_id is not None) for slot in report.slots)
        assert all(slot.charge_pct is None or 0 <= slot.charge_pct <= 100 for slot in report.slots)
        assert [slot.number for slot in report.slots] == list(range(1, 13))


def test_the_fullest_bank_leaves_first() -> None:
    bank = cabinet([70.0, 95.0, 80.0]).take(0)
    assert bank is not None
    assert bank.unit_id == "B1"


def test_banks_charge_in_a_slot_and_drain_in_a_pocket() -> None:
    bank = Bank("B", 50.0, 0)
    bank.settle(3_600_000, charging=True)
    assert 80 < bank.charge_pct < 90
    bank.settle(2 * 3_600_000, charging=False)
    assert 60 < bank.charge_pct < 70


def test_a_cabinet_stands_where_the_registry_says() -> None:
    assert cabinet([90.0]).report(0, Random(1), keep=False).fix is None
