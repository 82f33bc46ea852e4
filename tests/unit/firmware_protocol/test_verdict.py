"""A command is obeyed only for this boot, in time, and with a fence that nothing has used up."""

from hypothesis import given
from hypothesis import strategies as st

from firmware_protocol.commands import FENCED, Command
from firmware_protocol.verdict import Verdict, judge
from tests.unit.firmware_protocol.strategies import commands

near = st.integers(-3, 3)


@given(commands, near, near, st.integers(-2000, 2000))
def test_it_is_obeyed_exactly_when_nothing_speaks_against_it(
    command: Command, boots: int, fences: int, ms: int
) -> None:
    boot, taken = max(0, command.boot + boots), max(0, command.fence + fences)
    server_ms = command.not_after_s * 1000 + ms
    verdict = judge(command, boot=boot, server_ms=server_ms, taken_fence=taken)
    in_time, new = ms < 0, command.fence > taken or command.kind not in FENCED
    assert (verdict is Verdict.OBEY) == (boot == command.boot and in_time and new)
    assert (verdict is Verdict.NOT_YET) == (command.boot > boot)
    assert (verdict is Verdict.WRONG_BOOT) == (command.boot < boot)


@given(commands)
def test_a_device_that_does_not_know_the_time_is_silent(command: Command) -> None:
    assert judge(command, boot=command.boot, server_ms=None, taken_fence=0) is Verdict.NOT_YET
