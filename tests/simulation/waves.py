"""Seed after seed until the time is up, and at least so many."""

import os
import time

from tests.simulation.trial import run_seed

AT_LEAST = 250
BUDGET_S = 40.0


def run_wave(first: int) -> None:
    """Fails at the first seed that breaks a law, and says how to repeat it."""
    few = os.environ.get("LATCHKEY_EXAMPLES") == "few"
    began_s = time.monotonic()
    seed = first
    while seed < first + AT_LEAST or (not few and time.monotonic() - began_s < BUDGET_S):
        trial = run_seed(seed)
        assert not trial.complaints, str(trial)
        seed += 1
