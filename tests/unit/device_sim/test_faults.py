"""Faults come as often as their profile says, and only then."""

from random import Random

import pytest

from device_sim.faults import LOST, PROFILES, UNHARMED, Weather


def test_without_faults_nothing_happens() -> None:
    weather = Weather(PROFILES["none"], Random(1))
    assert all(weather.flight() is UNHARMED for _ in range(1_000))
    assert not any(weather.skew_ms() for _ in range(1_000))
    assert weather.reboots(1_000, 3_600) == []
    assert weather.offline_spells(1_000, 3_600) == []


@pytest.mark.parametrize("name", ["city", "shuffled", "hostile"])
def test_shares_are_kept(name: str) -> None:
    profile = PROFILES[name]
    weather = Weather(profile, Random(2))
    frames = 50_000
    flights = [weather.flight() for _ in range(frames)]
    assert flights.count(LOST) / frames == pytest.approx(profile.loss, rel=0.3)
    doubled = [flight for flight in flights if len(flight.after_s) == 2]
    assert len(doubled) / frames == pytest.approx(profile.duplicate, rel=0.3)
    late = [flight for flight in flights if len(flight.after_s) == 1 and flight is not UNHARMED]
    assert len(late) / frames == pytest.approx(profile.delay, rel=0.3)
    assert all(0 <= after_s <= profile.max_delay_s for flight in flights for after_s in flight.after_s)
    counts = weather.counts
    assert (counts.lost, counts.duplicated, counts.delayed) == (flights.count(LOST), len(doubled), len(late))


def test_short_ticks_of_small_fleets_add_up() -> None:
    weather = Weather(PROFILES["hostile"], Random(3))
    for _ in range(36_000):
        weather.reboots(20, 0.1)
        for index, spell_s in weather.offline_spells(20, 0.1):
            assert 0 <= index < 20
            assert 0 < spell_s <= PROFILES["hostile"].max_offline_s
    assert weather.counts.reboots == pytest.approx(20 * 6.0, rel=0.3)
    assert weather.counts.offline_spells == pytest.approx(20 * 20.0, rel=0.3)


def test_the_same_seed_has_the_same_weather() -> None:
    one, other = (Weather(PROFILES["hostile"], Random(7)) for _ in range(2))
    assert [one.flight() for _ in range(500)] == [other.flight() for _ in range(500)]
    assert [one.skew_ms() for _ in range(500)] == [other.skew_ms() for _ in range(500)]


def test_hostile_clocks_are_wrong_by_minutes_decades_or_not_at_all() -> None:
    weather = Weather(PROFILES["hostile"], Random(8))
    skews = [weather.skew_ms() for _ in range(2_000)]
    assert 0.6 < skews.count(0) / len(skews) < 0.9
    assert any(skew < -(10**12) for skew in skews)
    assert any(skew > 10**11 for skew in skews)
