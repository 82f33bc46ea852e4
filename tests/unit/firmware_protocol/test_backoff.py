"""Delays double to their cap, scattered by a quarter."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from firmware_protocol.backoff import JITTER, Backoff


@given(st.integers(1, 10_000), st.integers(10_000, 10**6), st.randoms(use_true_random=False))
def test_delays_double_up_to_the_cap_and_start_again_on_reset(
    first_ms: int, cap_ms: int, chance: Random
) -> None:
    backoff = Backoff(chance, first_ms=first_ms, cap_ms=cap_ms)
    for _ in range(2):
        for attempt in range(12):
            middle_ms = min(cap_ms, first_ms * 2**attempt)
            delay_ms = backoff.next_delay_ms()
            assert middle_ms * (1 - JITTER) - 1 <= delay_ms <= middle_ms * (1 + JITTER)
        backoff.reset()


def test_a_fleet_does_not_return_at_once() -> None:
    delays = {Backoff(Random(seed), first_ms=1000, cap_ms=9000).next_delay_ms() for seed in range(200)}
    assert len(delays) > 100
