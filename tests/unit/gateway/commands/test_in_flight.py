"""Which frame is due when, and when waiting ends."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.commands.in_flight import (
    ABANDON_AFTER_MS,
    LATE_ANSWERS_MS,
    PROBE_FRESH_MS,
    Flight,
    Probe,
    deadline_of,
    may_send,
    must_ask,
    next_frame_ms,
    postponed,
)
from gateway.core.command import OUT, SETTLED, Happening, Phase


def test_the_same_frame_goes_out_after_one_two_and_four_seconds_and_not_after_the_deadline() -> None:
    due = [next_frame_ms(Flight(1_000, frames, 11_000, once=False)) for frames in range(6)]
    assert due == [1_000, 2_000, 3_000, 5_000, 9_000, None]


def test_a_frame_that_may_be_sent_once_is_not_sent_again() -> None:
    assert next_frame_ms(Flight(1_000, 0, 11_000, once=True)) == 1_000
    assert next_frame_ms(Flight(1_000, 1, 11_000, once=True)) is None


@given(st.integers(0, 8), st.integers(0, 10**6))
def test_what_could_not_leave_is_due_a_second_later(frames: int, now_ms: int) -> None:
    flight = postponed(Flight(0, frames, 10**9, once=False), now_ms)
    assert next_frame_ms(flight) == now_ms + 1_000
    assert flight.frames == frames


def test_every_phase_that_is_not_settled_has_an_end() -> None:
    for phase in Phase:
        end = deadline_of(phase, 5, 10)
        if phase in SETTLED:
            assert end is None
        elif phase in OUT:
            assert end == (10 + LATE_ANSWERS_MS, Happening.DEADLINE)
    assert deadline_of(Phase.ISSUED, 5, 10) == (10, Happening.DEADLINE)
    assert deadline_of(Phase.UNCONFIRMED, 5, 10) == (5 + ABANDON_AFTER_MS, Happening.ABANDON)


@given(
    st.none() | st.builds(Probe, st.integers(1, 9), st.integers(0, 20_000), st.booleans()),
    st.integers(0, 20_000),
)
def test_a_one_shot_leaves_only_after_a_fresh_answer(probe: Probe | None, now_ms: int) -> None:
    if may_send(probe, now_ms):
        assert probe is not None
        assert probe.answered
        assert now_ms - probe.asked_ms < PROBE_FRESH_MS
        assert not must_ask(probe, now_ms)
    if probe is None:
        assert must_ask(probe, now_ms)
