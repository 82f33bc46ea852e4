"""Trip files are read by name or by mapping, and what cannot be a trip is counted."""

import gzip
import re
from io import StringIO
from pathlib import Path

import pytest

from device_sim.movement import Place
from device_sim.replay import (
    BadTripFile,
    cast,
    columns_of,
    instant_ms,
    parse_mapping,
    parse_trips,
    read_trips,
    rides,
)

# Made up: two bikes, one with two trips that overlap, one that starts elsewhere.
TRIPS = """start_unix_s,end_unix_s,trip_id,bike_id,start_lat,start_lon,end_lat,end_lon,distance_m
1000,1600,1,A,1.30,103.80,1.31,103.81,1500
1300,1900,2,A,1.31,103.81,1.32,103.82,1500
1100,1700,3,B,1.35,103.90,1.36,103.91,1500
4000,4600,4,B,1.20,103.70,1.21,103.71,1500
5000,4000,5,B,1.20,103.70,1.21,103.71,1500
5000,5100,6,C,,103.70,1.21,103.71,1500
5000,5100,7,C,95.0,103.70,1.21,103.71,1500
"""


def test_trips_come_by_start_and_impossible_ones_are_counted() -> None:
    file = parse_trips(StringIO(TRIPS), {})
    assert [trip.bike for trip in file.trips] == ["A", "B", "A", "B"]
    assert file.refused_rows == 3
    assert (file.starts_ms, file.ends_ms) == (1_000_000, 4_600_000)
    for trip in file.trips:
        assert file.area().holds(trip.start)
        assert file.area().holds(trip.end)


def test_other_names_are_guessed_or_told() -> None:
    header = ["Bike_ID", "started_at", "ended_at", "start_lat", "start_lng", "end_lat", "end_lng"]
    assert columns_of(header, {})["start_lon"] == "start_lng"
    told = columns_of(["x", *header[1:]], parse_mapping(["bike=x"]))
    assert told["bike"] == "x"
    with pytest.raises(BadTripFile, match="--map bike=COLUMN"):
        columns_of(header[1:], {})
    with pytest.raises(BadTripFile):
        parse_mapping(["wheel=x"])


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1505145655", 1_505_145_655_000),
        ("1505145655.25", 1_505_145_655_250),
        ("1505145655000", 1_505_145_655_000),
        ("2017-09-11 16:00:55", 1_505_145_655_000),
        ("2017-09-11T16:00:55Z", 1_505_145_655_000),
        ("2017-09-12T00:00:55+08:00", 1_505_145_655_000),
    ],
)
def test_instants_are_utc_unless_they_say_otherwise(text: str, ms: int) -> None:
    assert instant_ms(text) == ms


def test_a_packed_file_is_read_and_an_empty_one_refused(tmp_path: Path) -> None:
    packed = tmp_path / "trips.csv.gz"
    packed.write_bytes(gzip.compress(TRIPS.encode()))
    assert len(read_trips(packed, {}).trips) == 4
    plain = tmp_path / "trips.csv"
    plain.write_text(TRIPS, encoding="utf-8-sig")
    assert len(read_trips(plain, {}).trips) == 4
    plain.write_text(TRIPS.splitlines()[0])
    with pytest.raises(BadTripFile):
        read_trips(plain, {})


ROW = "A,1000,1600,1.30,103.80,1.31,103.81\n"
HEADER = "bike,start,end,start_lat,start_lon,end_lat,end_lon\n"
CUT_OFF = gzip.compress((HEADER + ROW).encode(), mtime=0)[:-12]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("gbk.csv", (HEADER + ROW.replace("A", "\u8f66")).encode("gbk"), "is no CSV in UTF-8; save it as"),
        ("sheet.csv", b"PK\x03\x04\x14\x00\xff\xfe", "is no CSV in UTF-8"),
        ("cut.csv.gz", CUT_OFF, "is cut off: .* copy it again"),
        ("plain.csv.gz", HEADER.encode(), "is damaged or not packed by gzip .* drop the .gz"),
        ("damaged.csv.gz", CUT_OFF[:10] + b"\xff" * 40, "is damaged or not packed by gzip"),
        ("empty.csv", b"", "is empty; it must begin with the names of columns: bike,start,end,start_lat"),
        ("empty.csv.gz", gzip.compress(b"\r\n\n"), "is empty"),
        (
            "quote.csv",
            (HEADER + ROW + '"' + ROW * 5_000).encode(),
            "is no CSV in line 3: .* is a quote not closed",
        ),
    ],
    ids=["gbk", "binary", "cut off", "not packed", "damaged", "empty", "blank", "open quote"],
)
def test_a_file_that_cannot_be_read_is_named_with_what_is_wrong_and_what_to_do(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadTripFile, match=f"/{name} {said}"):
        read_trips(tmp_path / name, {})


def test_a_byte_order_mark_is_no_part_of_the_first_columns_name_packed_or_not(tmp_path: Path) -> None:
    content = (HEADER + ROW).encode("utf-8-sig")
    (tmp_path / "trips.csv").write_bytes(content)
    (tmp_path / "trips.csv.gz").write_bytes(gzip.compress(content))
    for name in ("trips.csv", "trips.csv.gz"):
        assert [trip.bike for trip in read_trips(tmp_path / name, {}).trips] == ["A"]


@pytest.mark.parametrize(
    "text", ["inf", "-inf", "nan", "1e300", "-1", "1505145655000000", "0001-01-01T00:00+14:00", "oops", ""]
)
def test_what_no_calendar_holds_is_no_time_and_costs_its_row_only(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        instant_ms(text)
    for wrong in (ROW.replace("1000", text), ROW.replace("1600", text)):
        file = parse_trips(StringIO(HEADER + ROW + wrong), {})
        assert (len(file.trips), file.refused_rows) == (1, 1)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (ROW.replace("1000", "oops"), "start 'oops' is no time"),
        (ROW.replace("1600", "inf"), "end 'inf' is no time"),
        (ROW.replace("1600", "900"), "end '900' is before start '1000'"),
        (ROW.replace("1.30", "x"), "start_lat 'x' is no number"),
        (ROW.replace("103.81", "nan"), "end_lon 'nan' is not between -180 and 180 degrees"),
        (ROW.replace("1.31", "95.0"), "end_lat '95.0' is not between -85 and 85 degrees"),
        (ROW.replace("A", " "), "bike is empty"),
        ("A,1000\n", "end is empty"),
        (ROW.replace("1000", "5" * 100), f"start '{'5' * 39}…' is no time"),
    ],
)
def test_the_first_refused_row_is_told_with_its_line_and_reason(row: str, why: str) -> None:
    # A blank line and a field of two lines count as the editor counts them.
    before = HEADER + ROW + "\n" + ROW.replace("A", '"A\nB"')
    file = parse_trips(StringIO(before + row + ROW + "B,,,,,,\n"), {})
    assert (len(file.trips), file.refused_rows, file.first_refused) == (3, 2, f"line 6: {why}")
    with pytest.raises(BadTripFile, match=re.escape(f"1 row refused, in line 2: {why}")):
        parse_trips(StringIO(HEADER + row), {})


def test_a_file_without_a_good_row_says_what_is_wrong_with_its_first_one(tmp_path: Path) -> None:
    path = tmp_path / "trips.csv"
    path.write_text(HEADER + ROW.replace("1000", "oops") * 2)
    with pytest.raises(BadTripFile) as refused:
        read_trips(path, {})
    wanted = f"{path} has no usable trip; 2 rows refused, the first in line 2: start 'oops' is no time"
    assert str(refused.value) == wanted
    path.write_text(HEADER)
    with pytest.raises(BadTripFile, match=r"trips\.csv has no row below the names of its columns"):
        read_trips(path, {})


def test_a_replay_that_begins_late_finds_bikes_where_they_were_left() -> None:
    file = parse_trips(StringIO(TRIPS), {})
    whole = cast(file, bikes=10, begins_ms=0)
    assert whole.index_of == {"A": 0, "B": 1}
    assert whole.places == (Place(1.30, 103.80), Place(1.35, 103.90))
    late = cast(file, bikes=10, begins_ms=2_000_000)
    assert late.index_of == {"B": 0}
    assert late.places == (Place(1.36, 103.91),)
    assert [trip.starts_ms for trip in rides(file, late, begins_ms=2_000_000)] == [4_000_000]


def test_a_small_fleet_plays_the_first_bikes() -> None:
    file = parse_trips(StringIO(TRIPS), {})
    one = cast(file, bikes=1, begins_ms=0)
    assert [(trip.device, trip.starts_ms) for trip in rides(file, one, begins_ms=0)] == [
        (0, 1_000_000),
        (0, 1_300_000),
    ]
