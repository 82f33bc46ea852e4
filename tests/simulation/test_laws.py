"""The promises about commands hold in a hostile world: the lower seeds."""

from pathlib import Path

import pytest

from tests.simulation.trial import run_seed
from tests.simulation.waves import run_wave

SEEDS_OF_OLD_FAILURES = (13, 340, 363, 439, 945, 2071, 2074, 2154, 2180, 2309, 2362)
"""Each broke a law once."""


def test_every_law_holds_for_as_many_seeds_as_the_time_allows() -> None:
    run_wave(first=1)


@pytest.mark.parametrize("seed", SEEDS_OF_OLD_FAILURES)
def test_what_broke_a_law_once_holds_now(seed: int) -> None:
    for steps in (200, 800):
        trial = run_seed(seed, steps=steps)
        assert not trial.complaints, str(trial)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_same_seed_gives_the_same_trace(seed: int) -> None:
    assert run_seed(seed) == run_seed(seed)
    assert run_seed(seed).trace_hash != run_seed(seed + 1).trace_hash


def test_a_failure_says_how_to_repeat_it() -> None:
    trial = run_seed(1, steps=10)
    assert trial.again == "./latchkey laws --first 1 --seeds 1 --steps 10"
    assert (Path(__file__).parents[2] / "cli" / "laws.py").exists()
