"""The life of a device is exactly its table."""

from itertools import product

import pytest

from gateway.core.device import Status
from gateway.core.device_life import STEPS, LifeStep, StepRefused, step_on

LIVES = {
    ("REGISTERED", "activate"): "ACTIVE",
    ("REGISTERED", "retire"): "RETIRED",
    ("ACTIVE", "suspend"): "SUSPENDED",
    ("ACTIVE", "retire"): "RETIRED",
    ("SUSPENDED", "resume"): "ACTIVE",
    ("SUSPENDED", "retire"): "RETIRED",
}
PAIRS = list(product(Status, LifeStep))


@pytest.mark.parametrize(("status", "step"), PAIRS)
def test_every_pair_of_status_and_step(status: Status, step: LifeStep) -> None:
    wanted = LIVES.get((status.name, str(step)))
    if wanted is None:
        with pytest.raises(StepRefused, match=status.name.lower()):
            step_on(status, step)
    else:
        assert step_on(status, step) is Status[wanted]


def test_nothing_leads_out_of_retirement() -> None:
    assert all(status is not Status.RETIRED for status, _ in STEPS)
