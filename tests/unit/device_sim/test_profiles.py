"""Laws of the device models and of the mix."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_sim.profiles import PROFILES, BadMix, Kind, parse_mix, split_by_weight


@given(
    st.integers(0, 5_000), st.dictionaries(st.text(min_size=1, max_size=4), st.integers(0, 99), min_size=1)
)
def test_a_split_loses_nobody_and_stays_within_one_of_its_ratio(count: int, weights: dict[str, int]) -> None:
    total = sum(weights.values())
    if total == 0:
        return
    shares = split_by_weight(count, weights)
    assert sum(shares.values()) == count
    for name, weight in weights.items():
        assert abs(shares[name] - count * weight / total) < 1


def test_a_mix_is_read_from_text() -> None:
    assert parse_mix("bike=80, cabinet=15,locker=5") == {Kind.BIKE: 80, Kind.CABINET: 15, Kind.LOCKER: 5}


@pytest.mark.parametrize("text", ["", "bike", "bike=x", "boat=3", "bike=-1", "bike=0"])
def test_a_mix_that_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(BadMix):
        parse_mix(text)


def test_silence_has_two_thresholds_and_they_rise() -> None:
    for profile in PROFILES:
        assert profile.busy_period_s < profile.heartbeat_s
        assert 2 * profile.heartbeat_s < profile.quiet_after_s < profile.lost_after_s
        assert (profile.slot_count > 0) == (profile.kind is not Kind.BIKE)
