"""The estimate is never behind the gateway's clock, however welcomes were delayed, repeated and reordered."""

from hypothesis import given
from hypothesis import strategies as st

from firmware_protocol.server_clock import DRIFT_PER, FRESH_FOR_MS, ServerClock

EPOCH_MS = 1_790_000_000_000
DAY_MS = 86_400_000

exchanges = st.tuples(st.integers(0, DAY_MS), st.integers(0, 90_000))
"""When a hello is sent, and how long until the gateway reads its clock."""


@given(
    st.lists(exchanges, min_size=1, max_size=6),
    st.integers(0, DAY_MS),
    st.integers(-1000 // DRIFT_PER, 10**6 // DRIFT_PER),
)
def test_the_estimate_is_never_behind(walk: list[tuple[int, int]], later_ms: int, slow_ppm: int) -> None:
    clock = ServerClock()

    def device_ms(true_ms: int) -> int:
        return true_ms - true_ms * slow_ppm // 10**6

    latest_ms = 0
    for sent_ms, took_ms in walk:
        clock.heard(EPOCH_MS + sent_ms + took_ms, device_ms(sent_ms), device_ms(sent_ms + took_ms) + 1)
        latest_ms = max(latest_ms, sent_ms + took_ms)
    now_ms = latest_ms + later_ms
    believed_ms = clock.at_most_ms(device_ms(now_ms))
    assert believed_ms is not None
    assert believed_ms >= EPOCH_MS + now_ms


def test_it_is_ahead_by_the_way_of_the_hello_and_the_drift_only() -> None:
    clock = ServerClock()
    assert (clock.at_most_ms(5), clock.stale_at_ms()) == (None, None)
    clock.heard(EPOCH_MS + 300, 0, 310)
    ahead_ms = (clock.at_most_ms(FRESH_FOR_MS) or 0) - (EPOCH_MS + FRESH_FOR_MS)
    assert 300 <= ahead_ms <= 300 + FRESH_FOR_MS // DRIFT_PER + 2
    assert clock.stale_at_ms() == FRESH_FOR_MS


def test_a_slow_hello_does_not_spoil_a_quick_one_within_the_hour() -> None:
    clock = ServerClock()
    clock.heard(EPOCH_MS + 100, 0, 110)
    clock.heard(EPOCH_MS + 60_000 + 8_000, 60_000, 68_000)
    assert (clock.at_most_ms(60_000) or 0) < EPOCH_MS + 60_200
    assert clock.stale_at_ms() == 60_000 + FRESH_FOR_MS
    clock.heard(EPOCH_MS + FRESH_FOR_MS + 8_000, FRESH_FOR_MS, FRESH_FOR_MS + 8_000)
    assert (clock.at_most_ms(FRESH_FOR_MS) or 0) >= EPOCH_MS + FRESH_FOR_MS + 8_000, (
        "the old one may have drifted"
    )


def test_an_answer_to_an_older_hello_is_ignored() -> None:
    clock = ServerClock()
    clock.heard(EPOCH_MS + 50, 40, 60)
    clock.heard(EPOCH_MS + 20, 10, 70)
    assert clock.stale_at_ms() == 40 + FRESH_FOR_MS


def test_the_kept_answer_to_a_hello_that_was_said_for_later_does_not_set_the_time_back() -> None:
    """Whoever sits at the broker says a hello for in half an hour, keeps the answer, and gives it then: a command held
    back for as long would be obeyed."""
    clock = ServerClock()
    clock.heard(EPOCH_MS + 50, 0, 100)
    later_ms = FRESH_FOR_MS // 2
    clock.heard(EPOCH_MS + 1_000, later_ms, later_ms + 10)
    believed_ms = clock.at_most_ms(later_ms + 10)
    assert believed_ms is not None
    assert believed_ms >= EPOCH_MS + later_ms - 50 - later_ms // DRIFT_PER - 2
