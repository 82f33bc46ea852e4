"""Few clients hear at once; however many there are, each hears four times a second."""

from hypothesis import given
from hypothesis import strategies as st

from api.live.pace import FRAMES_PER_S, LONGEST_PAUSE_S, pause_s


@given(st.integers(0, 10_000), st.integers(1, 10_000))
def test_a_pause_is_never_longer_than_the_longest(devices: int, sessions: int) -> None:
    assert 0 < pause_s(devices=devices, sessions=sessions) <= LONGEST_PAUSE_S


def test_a_single_change_to_a_single_client_delays_the_next_by_less_than_a_millisecond() -> None:
    assert pause_s(devices=1, sessions=1) < 0.001


def test_all_clients_together_stay_within_the_frame_budget() -> None:
    assert 1_000 / pause_s(devices=1, sessions=1_000) <= FRAMES_PER_S
