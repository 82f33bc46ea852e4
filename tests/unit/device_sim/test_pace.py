"""Laws of how fast life runs."""

from hypothesis import given
from hypothesis import strategies as st

from device_sim.pace import MAX_LIFE_SPEED, Pace, pace_for


@given(st.floats(0.1, 1_000), st.floats(0.01, 100_000))
def test_the_wanted_rate_is_what_life_and_stretch_make_together(natural: float, wanted: float) -> None:
    pace = pace_for(natural, wanted, None)
    assert 1.0 <= pace.life <= MAX_LIFE_SPEED
    assert abs(natural * pace.life / pace.stretch - wanted) < 1e-6 * wanted


def test_without_a_wish_time_is_real_time() -> None:
    assert pace_for(10.0, None, None) == Pace(1.0, 1.0)


def test_a_replay_keeps_its_speed_whatever_the_rate() -> None:
    assert pace_for(10.0, 500.0, 60.0).life == 60.0
    assert pace_for(10.0, None, 60.0) == Pace(60.0, 10.0)
