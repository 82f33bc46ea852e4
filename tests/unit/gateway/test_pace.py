"""A batch lingers only when the rate is worth it."""

import pytest

from gateway.pace import BUSY_FULL_LINGER, LINGER_MAX_S, LINGER_ROWS, RATE_WORTH_IT, TIMER_STEP_S, Pace


def paced(rows_per_s: float, seconds: float = 2.0, *, busy: float = 0.1) -> Pace:
    pace = Pace()
    for number in range(int(seconds / 0.01)):
        pace.note(int(rows_per_s * 0.01), number * 0.01, number * 0.01 * busy)
    return pace


def test_nothing_lingers_at_a_low_rate_and_everything_at_a_high_one() -> None:
    assert paced(1_000).linger_s() == 0.0
    assert 0.0 < paced(4_300).linger_s() < LINGER_MAX_S
    assert paced(6_000).linger_s() == paced(9_000).linger_s() == LINGER_MAX_S


def test_at_high_rates_a_linger_gathers_no_more_rows_than_it_must() -> None:
    assert paced(15_000).linger_s() * 15_000 == pytest.approx(LINGER_ROWS, rel=0.01)
    assert paced(60_000).linger_s() < paced(15_000).linger_s() < LINGER_MAX_S


def test_a_burst_is_forgotten_within_a_second() -> None:
    pace = paced(15_000)
    pace.note(1, 3.0, 0.3)
    assert pace.linger_s() == 0.0


def test_a_machine_that_is_short_of_cpu_lingers_at_any_rate_that_gathers_something() -> None:
    assert paced(1_200, busy=0.2).linger_s() == 0.0
    assert 0.0 < paced(1_200, busy=0.4).linger_s() < LINGER_MAX_S
    assert paced(1_200, busy=BUSY_FULL_LINGER + 0.1).linger_s() == LINGER_MAX_S
    assert paced(RATE_WORTH_IT - 100, busy=1.0).linger_s() == 0.0
    assert 0.0 < paced(RATE_WORTH_IT + 200, busy=1.0).linger_s() < LINGER_MAX_S


def test_what_was_used_before_the_first_batch_is_not_load() -> None:
    pace = Pace()
    pace.note(1, 1000.0, 900.0)
    assert pace.busy == 0.0


@pytest.mark.parametrize("rows_per_s", [4_300, 6_000, 12_345, 15_000, 30_000])
def test_lingers_in_whole_steps_come_to_what_was_meant(rows_per_s: int) -> None:
    pace = paced(rows_per_s)
    lingers_s = [pace.next_linger_s() for _ in range(1_000)]
    assert all(one_s == pytest.approx(round(one_s / TIMER_STEP_S) * TIMER_STEP_S) for one_s in lingers_s)
    assert sum(lingers_s) / 1_000 == pytest.approx(pace.linger_s(), rel=0.001)


def test_less_than_a_step_is_never_saved_up_for_one() -> None:
    pace = paced(60_000)
    assert 0.0 < pace.linger_s() < TIMER_STEP_S
    assert {pace.next_linger_s() for _ in range(100)} == {pace.linger_s()}
