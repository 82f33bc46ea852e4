"""The judge of the fault trials finds every way in which a promise can be broken."""

from collections import Counter

import pytest

from bench.faults.kept_fleet import DeviceTruth, FleetTruth
from bench.faults.verdict import judge


def truth(**changes: object) -> FleetTruth:
    """A device that made two reports and has a receipt for both, but for the changes."""
    kept = {"made": 2, "stamps": {(1, 1), (1, 2)}, "receipted": {(1, 1), (1, 2)}, **changes}
    return FleetTruth({"a": DeviceTruth(**kept)})  # type: ignore[arg-type]  # fields by name


STORED = Counter({("a", 1, 1): 1, ("a", 1, 2): 1})


def test_a_kept_promise_is_found_kept() -> None:
    assert judge(truth(), STORED).holds


@pytest.mark.parametrize(
    ("what", "known", "stored"),
    [
        ("lost", truth(), Counter({("a", 1, 2): 1})),
        ("receipted but not stored", truth(), Counter({("a", 1, 2): 1})),
        ("stored twice", truth(), Counter({("a", 1, 1): 2, ("a", 1, 2): 1})),
        ("stored but never sent", truth(), STORED + Counter({("b", 1, 1): 1})),
        ("made but never sent", truth(made=3), STORED),
        ("kept but never receipted", truth(waiting=1), STORED),
        ("dropped by devices", truth(kept_lost=1), STORED),
    ],
)
def test_every_broken_promise_is_found(
    what: str, known: FleetTruth, stored: Counter[tuple[str, int, int]]
) -> None:
    verdict = judge(known, stored)
    assert verdict.wrong[what] == 1
    assert not verdict.holds
    assert what in str(verdict)
