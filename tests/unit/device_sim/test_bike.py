"""Laws of the life of a vehicle."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from device_sim.bike import Bike
from device_sim.movement import Area, Place, Route, bent_route
from device_sim.profiles import PROFILES
from firmware_protocol.messages import Alarm, Bolt

AREA = Area(south=1.2, west=103.6, north=1.5, east=104.1)
HOME = Place(1.30, 103.80)
EBIKE = next(profile for profile in PROFILES if profile.electric)
PLAIN = next(profile for profile in PROFILES if profile.model == "sim-bike")


def ride(bike: Bike, end: Place, starts_ms: int, ends_ms: int) -> Route:
    return bent_route(
        bike.place, end, starts_ms=starts_ms, ends_ms=ends_ms, area=AREA, chance=Random(starts_ms)
    )


@given(st.lists(st.tuples(st.integers(1, 10**8), st.floats(-0.05, 0.05)), max_size=20), st.booleans())
def test_charge_stays_between_empty_and_full_and_the_bolt_counts_its_openings(
    steps: list[tuple[int, float]], electric: bool
) -> None:
    chance = Random(1)
    bike = Bike(EBIKE if electric else PLAIN, HOME, now_ms=0, chance=chance)
    now_ms, openings = 0, bike.openings
    for wait_ms, shift in steps:
        now_ms += wait_ms
        bike.begin_ride(ride(bike, Place(1.3 + shift, 103.8 + shift), now_ms, now_ms + 600_000))
        openings += 1
        now_ms += 600_000
        bike.end_ride(now_ms, chance)
        report = bike.report(now_ms, chance, keep=True)
        assert report.battery_pct is not None
        assert 0 <= report.battery_pct <= 100
        assert report.lock is not None
        assert report.lock.openings == openings


def test_a_ride_opens_moves_and_closes() -> None:
    chance = Random(7)
    bike = Bike(PLAIN, HOME, now_ms=0, chance=chance)
    end = Place(1.31, 103.81)
    bike.begin_ride(ride(bike, end, 1_000, 601_000))
    riding = bike.report(300_000, chance, keep=False)
    assert riding.moving is True
    assert riding.lock is not None
    assert riding.lock.bolt is Bolt.OPEN
    assert bike.position(300_000) not in (HOME, end)
    assert not bike.usable
    bike.end_ride(601_000, chance)
    parked = bike.report(601_000, chance, keep=True)
    assert parked.moving is False
    assert parked.lock is not None
    assert parked.lock.bolt is Bolt.CLOSED
    assert bike.position(601_000) == end


def test_a_second_rider_takes_the_bike_from_the_first() -> None:
    bike = Bike(PLAIN, HOME, now_ms=0, chance=Random(7))
    bike.begin_ride(ride(bike, Place(1.31, 103.81), 0, 600_000))
    bike.place = Place(1.25, 103.70)
    bike.begin_ride(ride(bike, Place(1.26, 103.71), 300_000, 900_000))
    assert bike.position(300_000) == Place(1.25, 103.70)
    assert bike.ride_number == 2


def test_an_empty_bike_says_so_until_it_is_serviced() -> None:
    chance = Random(1)
    bike = Bike(EBIKE, HOME, now_ms=0, chance=chance)
    bike.battery_pct = 5.0
    assert bike.report(0, chance, keep=False).alarms == (Alarm.LOW_BATTERY,)
    assert bike.needs_service
    assert not bike.usable
    bike.service(1_000)
    assert bike.report(1_000, chance, keep=False).alarms == ()
    assert bike.usable


def test_a_parked_bike_reports_rarely_and_a_ridden_one_often() -> None:
    bike = Bike(PLAIN, HOME, now_ms=0, chance=Random(1))
    assert 240 <= bike.period_s() <= 300
    bike.begin_ride(ride(bike, Place(1.31, 103.81), 0, 600_000))
    assert 10 <= bike.period_s() <= 15
