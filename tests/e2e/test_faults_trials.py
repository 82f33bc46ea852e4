"""Every fault trial in its short form; `./latchkey chaos` plays the long one."""

from pathlib import Path
from random import Random

import pytest

from bench.faults.nemeses import MIN_GATEWAY_KILLS
from bench.faults.trial import Trial
from bench.faults.trials import TRIALS, run_trial
from cli.servers.broker import PrivateBroker
from cli.stack import Stack
from tests.support.nursery import forked

pytestmark = [pytest.mark.e2e, pytest.mark.faults, pytest.mark.timeout(400)]

PATIENCE = 6.0
"""Others may use the machine: a time limit is judged only when it is missed by far."""


SHORT = [trial for trial in TRIALS if trial.short_s]


@pytest.mark.parametrize("trial", SHORT, ids=[trial.name for trial in SHORT])
def test_the_promise_holds_while(trial: Trial, stack: Stack, broker: PrivateBroker, tmp_path: Path) -> None:
    if reason := trial.unfit():
        pytest.skip(reason)
    seed = Random().randrange(1_000_000)
    again = f"./latchkey chaos {trial.name} --short --seed {seed}"
    findings = run_trial(trial, stack, tmp_path, seconds=trial.short_s, seed=seed, spawn=forked)
    assert findings.broken(PATIENCE) == [], f"{trial.law}: {findings}; again with: {again}"
    if trial.name == "kill-gateway":
        assert findings.strikes >= MIN_GATEWAY_KILLS, again


def test_every_trial_has_a_name_and_a_law_of_its_own() -> None:
    assert len({trial.name for trial in TRIALS}) == len({trial.law for trial in TRIALS}) == len(TRIALS)
    assert all(trial.short_s < trial.long_s for trial in TRIALS)
