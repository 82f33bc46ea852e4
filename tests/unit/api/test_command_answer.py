"""A command and its story in the words of the HTTP API."""

from typing import get_args
from uuid import UUID

import pytest

from api.command_answer import command_answer, timeline_answer
from api.command_schemas import KindOfCommand, OverridableName, PhaseName, SafetyName
from firmware_protocol.commands import CommandKind
from firmware_protocol.messages import DeviceId
from gateway.command_ports import CommandRecord, TimelineEntry
from gateway.core.command import SETTLED, Phase, SafetyClass
from gateway.core.issue_conditions import OVERRIDABLE

NOW_MS = 1_790_000_000_000


def command(kind: CommandKind = CommandKind.UNLOCK, phase: Phase = Phase.ISSUED) -> CommandRecord:
    return CommandRecord(
        command_id=UUID(int=7),
        operator_id=1,
        device_no=1,
        device_id=DeviceId("d1"),
        model="bike",
        firmware="1.0",
        kind=kind,
        slot=0,
        settings={},
        boot=7,
        fence=3,
        issued_ms=NOW_MS,
        not_after_ms=NOW_MS + 10_000,
        phase=phase,
        revision=1,
    )


def test_the_api_has_a_word_for_every_kind_phase_and_safety_class() -> None:
    assert set(get_args(KindOfCommand)) == {kind.name.lower() for kind in CommandKind}
    assert set(get_args(PhaseName)) == {phase.value for phase in Phase}
    assert set(get_args(SafetyName)) == {safety.name.lower() for safety in SafetyClass}
    assert set(get_args(OverridableName)) == {refusal.value for refusal in OVERRIDABLE}


@pytest.mark.parametrize("phase", Phase)
def test_settled_is_told_of_every_phase(phase: Phase) -> None:
    answer = command_answer(command(phase=phase))
    assert (answer.phase, answer.settled) == (phase.value, phase in SETTLED)


@pytest.mark.parametrize("kind", CommandKind)
def test_every_kind_can_be_told(kind: CommandKind) -> None:
    assert command_answer(command(kind)).kind == kind.name.lower()


def test_a_story_counts_from_its_first_line_even_where_clocks_differ() -> None:
    entries = [
        TimelineEntry(NOW_MS, "requested", Phase.ISSUED),
        TimelineEntry(NOW_MS - 3, "claimed", Phase.SENT),
        TimelineEntry(NOW_MS + 41, "device_ack", Phase.EXECUTED, {"result": "executed"}),
    ]
    answer = timeline_answer(command(), entries)
    assert [(line.what, line.after_ms) for line in answer.lines] == [
        ("requested", 0),
        ("claimed", -3),
        ("device_ack", 41),
    ]
    assert answer.lines[2].detail == {"result": "executed"}
