"""Delays double, stay below their cap, and differ."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.backoff import next_delay_s


@given(attempt=st.integers(0, 10_000), chance=st.floats(0.0, 1.0, exclude_max=True))
def test_a_delay_is_positive_and_below_its_cap(attempt: int, chance: float) -> None:
    assert 0.05 <= next_delay_s(attempt, lambda: chance, first_s=0.1, cap_s=2.0) <= 2.0


def test_delays_double_until_the_cap() -> None:
    delays = [next_delay_s(attempt, lambda: 0.5, first_s=0.1, cap_s=1.0) for attempt in range(6)]
    assert [round(delay / 0.75, 3) for delay in delays] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
