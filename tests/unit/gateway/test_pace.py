"""A batch lingers only when the rate is worth it."""

import pytest

from gateway.pace import LINGER_MAX_S, LINGER_ROWS, Pace


def paced(rows_per_s: float, seconds: float = 2.0) -> Pace:
    pace = Pace()
    for number in range(int(seconds / 0.01)):
        pace.note(int(rows_per_s * 0.01), number * 0.01)
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
    pace.note(1, 3.0)
    assert pace.linger_s() == 0.0
