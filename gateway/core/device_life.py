"""The life of a device as a table: which step leads from which status to which."""

from enum import StrEnum
from typing import Final

from gateway.core.device import Status


class LifeStep(StrEnum):
    """What a person, or its own enrolment, does to a device."""

    ACTIVATE = "activate"
    """A registered device goes into service."""
    SUSPEND = "suspend"
    """Refused everywhere at once, and can come back."""
    RESUME = "resume"
    RETIRE = "retire"
    """For good: its keys end, its password and certificates are of no use any more."""


_S, _L = Status, LifeStep

STEPS: Final[dict[tuple[Status, LifeStep], Status]] = {
    (_S.REGISTERED, _L.ACTIVATE): _S.ACTIVE,
    (_S.ACTIVE, _L.SUSPEND): _S.SUSPENDED,
    (_S.SUSPENDED, _L.RESUME): _S.ACTIVE,
    **{(status, _L.RETIRE): _S.RETIRED for status in (_S.REGISTERED, _S.ACTIVE, _S.SUSPENDED)},
}
"""Every step that exists; all others are refused."""


class StepRefused(Exception):
    """The step does not lead anywhere from this status."""

    def __init__(self, status: Status, step: LifeStep) -> None:
        super().__init__(f"a device that is {status.name.lower()} cannot {step}")
        self.status = status
        self.step = step


def step_on(status: Status, step: LifeStep) -> Status:
    """The status after it. Raises StepRefused."""
    after = STEPS.get((status, step))
    if after is None:
        raise StepRefused(status, step)
    return after
