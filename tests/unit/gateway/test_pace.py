"""A batch lingers only when the rate is worth it."""

import pytest

from gateway.pace import BUSY_FULL_LINGER, LINGER_MAX_S, LINGER_ROWS, RATE_WORTH_IT, Pace


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
