"""Who carries commands out refuses what cannot be, does one thing at a time, and stops when power goes."""

import pytest

from device_sim.profiles import Kind
from device_sim.truth import read_executions
from firmware_protocol.commands import CommandKind
from tests.unit.device_sim.signed_stage import BOOT, SignedStage


def test_while_a_motor_turns_a_second_command_is_refused() -> None:
    stage = SignedStage()
    before = stage.openings
    stage.hears(stage.order())
    assert stage.obeys(stage.order(CommandKind.LOCK), 20) == [("accepted", None), ("refused", "busy")]
    stage.pass_ms(2_000)
    assert stage.answers[-1].result == "executed"
    assert stage.openings == before + 1
    assert stage.obeys(stage.order(CommandKind.LOCK))[-1] == ("executed", None)


@pytest.mark.parametrize(
    ("kind", "command", "slot", "reason"),
    [
        (Kind.BIKE, CommandKind.EJECT, 1, "unsupported"),
        (Kind.CABINET, CommandKind.UNLOCK, 0, "unsupported"),
        (Kind.LOCKER, CommandKind.EJECT, 1, "unsupported"),
        (Kind.LOCKER, CommandKind.OPEN_SLOT, 17, "no_such_slot"),
        (Kind.LOCKER, CommandKind.OPEN_SLOT, 0, "no_such_slot"),
    ],
)
def test_what_it_has_not_it_refuses(kind: Kind, command: CommandKind, slot: int, reason: str) -> None:
    stage = SignedStage(kind=kind)
    assert stage.obeys(stage.order(command, slot=slot)) == [("accepted", None), ("refused", reason)]
    assert stage.ledger.summary.executed == 0


def test_without_power_no_motor_turns() -> None:
    stage = SignedStage()
    before = stage.openings
    stage.hears(stage.order())
    stage.conductor.lose_power(0, forgets=False)
    stage.pass_ms(2_000)
    assert (stage.openings, stage.ledger.summary.executed) == (before, 0)
    stage.conductor.disconnected(0, [])
    stage.welcome()
    assert stage.last_fence == 1, "whether it opened, the counter tells"
    assert stage.obeys(stage.order())[-1] == ("executed", None)


def test_a_command_to_restart_is_answered_first_and_the_device_says_hello_anew() -> None:
    stage = SignedStage()
    assert stage.obeys(stage.order(CommandKind.REBOOT)) == [("accepted", None), ("executed", None)]
    assert stage.air.cuts == [(0, 3.0)]
    told = len(stage.reports)
    stage.conductor.disconnected(0, [])
    stage.welcome()
    assert stage.reports[told].boot == stage.boot


def test_questions_are_answered_at_once_even_while_a_motor_turns() -> None:
    stage = SignedStage()
    stage.hears(stage.order())
    told = len(stage.reports)
    assert stage.obeys(stage.order(CommandKind.QUERY), 20)[-1] == ("executed", None)
    assert len(stage.reports) == told + 1
    assert stage.obeys(stage.order(CommandKind.LOCATE), 20)[-1] == ("executed", None)
    assert len(stage.reports) == told + 1


def test_what_was_carried_out_is_noted_with_when_it_began() -> None:
    stage = SignedStage()
    began_ms = stage.now_ms
    stage.obeys(stage.order())
    stage.ledger.flush()
    (execution,) = read_executions(stage.log.getvalue().splitlines(keepends=True))
    assert (execution.device, execution.fence) == (stage.device_id, 1)
    assert execution.began_ms == BOOT * 1000 + began_ms
