"""From what was asked to who lives, and by what."""

from pathlib import Path

import pytest

from device_sim.movement import Place, distance_m
from device_sim.profiles import Kind
from device_sim.replay import BadTripFile
from device_sim.scenario import Asked, Replay, fictional, replayed
from device_sim.trip_count import TripCount

HEADER = "bike_id,start_unix_s,end_unix_s,start_lat,start_lon,end_lat,end_lon\n"


def trip_file(folder: Path, bikes: int) -> Path:
    path = folder / "trips.csv"
    rows = [
        f"B{n},{1_000 + 60 * n},{1_600 + 60 * n},1.3{n % 10},103.8,1.30,103.8{n % 10}\n" for n in range(bikes)
    ]
    path.write_text(HEADER + "".join(rows))
    return path


def test_a_fictional_fleet_stands_around_its_centre() -> None:
    paris = Place(48.85, 2.35)
    scenario = fictional(Asked(50, 1, b"s"), centre=paris)
    assert all(distance_m(place, paris) < 9_000 for place in scenario.fleet.places)
    assert scenario.trips is None


def test_a_replay_rides_the_file_and_begins_with_it(tmp_path: Path) -> None:
    mix = {Kind.BIKE: 1, Kind.CABINET: 1}
    scenario = replayed(Replay(trip_file(tmp_path, 30), {}), Asked(40, 1, b"s", mix))
    assert len(scenario.fleet) == 40
    assert scenario.starts_ms == 1_000_000
    assert scenario.trips is not None
    assert len(list(scenario.trips)) == 20
    assert scenario.fleet.places[0] == Place(1.30, 103.8)


def test_a_fleet_larger_than_the_file_has_no_idle_bikes(tmp_path: Path) -> None:
    scenario = replayed(Replay(trip_file(tmp_path, 5), {}), Asked(40, 1, b"s", {Kind.BIKE: 1}))
    assert len(scenario.fleet) == 5


def test_what_the_file_held_is_told_beside_how_many_of_its_bikes_ride(tmp_path: Path) -> None:
    path = trip_file(tmp_path, 5)
    with path.open("a") as file:
        file.write("B9,oops,1700,1.3,103.8,1.3,103.8\n")
    scenario = replayed(Replay(path, {}), Asked(2, 1, b"s", {Kind.BIKE: 1}))
    assert scenario.file == TripCount(5, 5, 2, 1, "line 7: start 'oops' is no time")
    assert fictional(Asked(2, 1, b"s")).file is None


def test_nothing_to_replay_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadTripFile):
        replayed(Replay(trip_file(tmp_path, 5), {}, from_hour=9.0), Asked(40, 1, b"s"))
