"""The promises about commands hold in a hostile world: the higher seeds, for the other worker; and longer storms."""

from tests.simulation.trial import run_seed
from tests.simulation.waves import run_wave


def test_every_law_holds_for_as_many_other_seeds_as_the_time_allows() -> None:
    run_wave(first=1_000_001)


def test_every_law_holds_in_long_storms() -> None:
    for seed in range(20):
        trial = run_seed(seed, steps=2_000)
        assert not trial.complaints, str(trial)
