"""Presence: silence against the model's thresholds."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.live_state import Presence
from gateway.core.presence import heard_at_ms, next_silence_ms, presence_of, silent_since_ms
from tests.support.fakes.samples import BIKE

HEARD_MS = 1_790_000_000_000


def test_online_then_quiet_then_lost_exactly_at_the_thresholds() -> None:
    assert presence_of(HEARD_MS, HEARD_MS + 149_999, BIKE) is Presence.ONLINE
    assert presence_of(HEARD_MS, HEARD_MS + 150_000, BIKE) is Presence.QUIET
    assert presence_of(HEARD_MS, HEARD_MS + 599_999, BIKE) is Presence.QUIET
    assert presence_of(HEARD_MS, HEARD_MS + 600_000, BIKE) is Presence.LOST


@given(now_ms=st.integers(HEARD_MS, HEARD_MS + 1_000_000))
def test_the_next_look_comes_neither_early_nor_late(now_ms: int) -> None:
    presence = presence_of(HEARD_MS, now_ms, BIKE)
    due_ms = next_silence_ms(HEARD_MS, presence, BIKE)
    if due_ms is None:
        assert presence is Presence.LOST
    else:
        assert due_ms > now_ms
        assert presence_of(HEARD_MS, due_ms - 1, BIKE) is presence
        following = presence_of(HEARD_MS, due_ms, BIKE)
        assert following > presence
        assert silent_since_ms(HEARD_MS, following, BIKE) == due_ms


def test_a_drained_backlog_is_no_sign_of_life_and_a_clock_ahead_no_promise() -> None:
    assert heard_at_ms(HEARD_MS - 3_600_000, HEARD_MS) == HEARD_MS - 3_600_000
    assert heard_at_ms(HEARD_MS + 3_600_000, HEARD_MS) == HEARD_MS
