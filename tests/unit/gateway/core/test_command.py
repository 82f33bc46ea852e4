"""The table of phases, walked pair by pair."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_protocol.commands import CommandKind
from gateway.core.command import (
    OUT,
    SAFETY,
    SENSED,
    SETTLED,
    TRANSITIONS,
    Happening,
    Phase,
    SafetyClass,
    advance,
)

P, H = Phase, Happening

EXPECTED = {
    P.ISSUED: {H.CLAIMED: P.SENT, H.CANCEL: P.CANCELLED, H.DEADLINE: P.EXPIRED},
    P.SENT: {
        H.DEADLINE: P.UNCONFIRMED,
        H.ACK_ACCEPTED: P.ACCEPTED,
        H.ACK_EXECUTED: P.EXECUTED,
        H.ACK_SUFFICES: P.CONFIRMED,
        H.ACK_REFUSED: P.REFUSED,
        H.ACK_FAILED: P.FAILED,
        H.DONE: P.CONFIRMED,
        H.DONE_LATE: P.EXECUTED_LATE,
        H.NOT_DONE: P.FAILED,
    },
    P.ACCEPTED: {
        H.DEADLINE: P.UNCONFIRMED,
        H.ACK_EXECUTED: P.EXECUTED,
        H.ACK_SUFFICES: P.CONFIRMED,
        H.ACK_REFUSED: P.REFUSED,
        H.ACK_FAILED: P.FAILED,
        H.DONE: P.CONFIRMED,
        H.DONE_LATE: P.EXECUTED_LATE,
        H.NOT_DONE: P.FAILED,
    },
    P.EXECUTED: {
        H.DEADLINE: P.UNCONFIRMED,
        H.DONE: P.CONFIRMED,
        H.DONE_LATE: P.EXECUTED_LATE,
        H.NOT_DONE: P.FAILED,
    },
    P.UNCONFIRMED: {
        H.ACK_SUFFICES: P.CONFIRMED,
        H.ACK_REFUSED: P.REFUSED,
        H.ACK_FAILED: P.FAILED,
        H.DONE: P.CONFIRMED,
        H.DONE_LATE: P.EXECUTED_LATE,
        H.NOT_DONE: P.FAILED,
        H.ABANDON: P.ABANDONED,
    },
}


@pytest.mark.parametrize(("phase", "happening"), list(product(Phase, Happening)))
def test_every_pair_does_what_the_table_says_and_no_more(phase: Phase, happening: Happening) -> None:
    assert advance(phase, happening) == EXPECTED.get(phase, {}).get(happening)


@pytest.mark.parametrize(("phase", "happening"), list(product(sorted(SETTLED), Happening)))
def test_nothing_leaves_a_settled_phase(phase: Phase, happening: Happening) -> None:
    assert advance(phase, happening) is None


def test_every_phase_can_be_reached_and_left_unless_it_is_settled() -> None:
    assert set(TRANSITIONS.values()) == set(Phase) - {P.ISSUED}
    assert {phase for phase, _ in TRANSITIONS} == set(Phase) - SETTLED


@given(st.lists(st.sampled_from(Happening)))
def test_after_sent_silence_is_never_taken_for_anything_else(happenings: list[Happening]) -> None:
    """From a phase the device may act in, a deadline alone leads to UNCONFIRMED and to nothing that claims to know."""
    phase = P.ISSUED
    for happening in happenings:
        before, phase = phase, advance(phase, happening) or phase
        if happening is H.DEADLINE and before in OUT:
            assert phase is P.UNCONFIRMED
        if phase in (P.EXPIRED, P.CANCELLED):
            assert before in (P.ISSUED, phase)


@given(st.lists(st.sampled_from([one for one in Happening if one.value.startswith("ack_")])))
def test_no_acks_alone_confirm_what_a_sensor_could_tell(happenings: list[Happening]) -> None:
    phase = P.SENT
    for happening in happenings:
        if happening is not H.ACK_SUFFICES:
            phase = advance(phase, happening) or phase
    assert phase is not P.CONFIRMED


def test_every_kind_has_a_safety_class_and_one_shots_are_sensed() -> None:
    assert set(SAFETY) == set(CommandKind)
    assert {kind for kind in CommandKind if SAFETY[kind] is SafetyClass.ONE_SHOT} <= SENSED
