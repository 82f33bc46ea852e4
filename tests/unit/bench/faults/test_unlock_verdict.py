"""The judge of unlocks finds each way in which a promise can be broken, and nothing where none is."""

import pytest

from bench.faults.unlock_verdict import Ordered, judge
from device_sim.truth import Execution


def ordered(number: int, phase: str = "confirmed", *, fence: int = 0) -> Ordered:
    return Ordered(f"c{number}", "D1", 0, fence or number, phase)


def executed(number: int, *, fence: int = 0, began_ms: int = 1_000) -> Execution:
    return Execution("D1", f"c{number}", 1, 0, fence or number, 10, began_ms)


def test_what_went_well_breaks_nothing() -> None:
    commands = [ordered(1), ordered(2, "expired"), ordered(3, "unconfirmed"), ordered(4)]
    assert not judge(commands, [executed(1), executed(3), executed(4)])


@pytest.mark.parametrize(
    ("commands", "executions", "what"),
    [
        ([ordered(1)], [executed(1), executed(1)], "executed more than once"),
        ([ordered(1)], [executed(1, began_ms=10_000)], "executed after not_after"),
        ([ordered(1), ordered(2)], [executed(2), executed(1)], "executed with an old fence"),
        ([], [executed(1)], "executed and never issued"),
        ([ordered(1, "sent")], [], "stuck"),
        ([ordered(1)], [], "confirmed and not executed"),
        ([ordered(1, "failed")], [executed(1)], "executed and said not to be"),
        ([ordered(1, "expired"), ordered(2, "expired", fence=1)], [], "fence did not rise"),
    ],
)
def test_each_broken_promise_is_named(
    commands: list[Ordered], executions: list[Execution], what: str
) -> None:
    assert what in judge(commands, executions)
