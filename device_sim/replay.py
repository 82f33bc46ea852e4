"""Trips of a CSV file as rides of a fleet."""

import csv
import gzip
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from device_sim.happenings import Trip
from device_sim.movement import Area, Place

COLUMNS = ("bike", "start", "end", "start_lat", "start_lon", "end_lat", "end_lon")

_GUESSES: Mapping[str, tuple[str, ...]] = {
    "bike": ("bike_id", "vehicle_id", "device_id", "bikeid", "bike", "vehicle"),
    "start": ("start_unix_s", "started_at", "start_time", "starttime", "start"),
    "end": ("end_unix_s", "ended_at", "end_time", "stoptime", "endtime", "end"),
    "start_lat": ("start_lat", "start_latitude", "start station latitude", "lat_start"),
    "start_lon": ("start_lon", "start_lng", "start_longitude", "start station longitude", "lon_start"),
    "end_lat": ("end_lat", "end_latitude", "end station latitude", "lat_end"),
    "end_lon": ("end_lon", "end_lng", "end_longitude", "end station longitude", "lon_end"),
}
"""Names seen in published trip files."""


class BadTripFile(ValueError):
    """The file cannot be read as trips; says which column or row."""


@dataclass(frozen=True, slots=True)
class RawTrip:
    """One row of the file."""

    bike: str
    starts_ms: int
    ends_ms: int
    start: Place
    end: Place


@dataclass(slots=True)
class TripFile:
    """A file of trips as it was read."""

    trips: list[RawTrip]
    """By start."""
    refused_rows: int
    """Without a position, with an unreadable time or that end before they start."""

    @property
    def starts_ms(self) -> int:
        return self.trips[0].starts_ms

    @property
    def ends_ms(self) -> int:
        return max(trip.ends_ms for trip in self.trips)

    def area(self) -> Area:
        """The rectangle around all trips, a kilometre wider on each side."""
        lats = [place.lat_deg for trip in self.trips for place in (trip.start, trip.end)]
        lons = [place.lon_deg for trip in self.trips for place in (trip.start, trip.end)]
        return Area(min(lats) - 0.01, min(lons) - 0.01, max(lats) + 0.01, max(lons) + 0.01)


def parse_mapping(options: list[str]) -> dict[str, str]:
    """`["start=departed", …]` as our column -> column of the file. Raises BadTripFile."""
    mapping: dict[str, str] = {}
    for option in options:
        ours, _, theirs = option.partition("=")
        if ours not in COLUMNS or not theirs:
            raise BadTripFile(f"--map {option}: expected one of {', '.join(COLUMNS)} followed by =COLUMN")
        mapping[ours] = theirs
    return mapping


def columns_of(header: list[str], mapping: Mapping[str, str]) -> dict[str, str]:
    """Which column of the file is which of ours: as told, else by name. Raises BadTripFile."""
    by_lower_name = {name.strip().lower(): name for name in header}
    found: dict[str, str] = {}
    for ours in COLUMNS:
        wanted = (mapping[ours].lower(),) if ours in mapping else _GUESSES[ours]
        theirs = next((by_lower_name[name] for name in wanted if name in by_lower_name), None)
        if theirs is None:
            raise BadTripFile(
                f"no column for {ours}: the file has {', '.join(header)}; say --map {ours}=COLUMN"
            )
        found[ours] = theirs
    return found


def instant_ms(text: str) -> int:
    """Unix seconds, Unix milliseconds or ISO 8601 (UTC unless it says otherwise). Raises ValueError."""
    try:
        number = float(text)
    except ValueError:
        moment = datetime.fromisoformat(text.strip())
        return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    # 10^11 seconds lie in the year 5138: above that it must be milliseconds.
    return round(number if number > 1e11 else number * 1000)


def read_trips(path: Path, mapping: Mapping[str, str]) -> TripFile:
    """All trips of a CSV file, plain or gzipped, by start. Raises BadTripFile, OSError."""
    with _opened(path) as lines:
        return parse_trips(lines, mapping)


def parse_trips(lines: TextIO, mapping: Mapping[str, str]) -> TripFile:
    """All trips of CSV text, by start. Raises BadTripFile when there is none."""
    rows = csv.DictReader(lines)
    columns = columns_of(list(rows.fieldnames or ()), mapping)
    trips: list[RawTrip] = []
    refused_rows = 0
    for row in rows:
        trip = _trip(row, columns)
        if trip is None:
            refused_rows += 1
        else:
            trips.append(trip)
    if not trips:
        raise BadTripFile(f"no usable trip in the file, {refused_rows} rows refused")
    trips.sort(key=lambda trip: trip.starts_ms)
    return TripFile(trips, refused_rows)


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open("rt", encoding="utf-8-sig", newline="")


def _trip(row: Mapping[str, str], columns: Mapping[str, str]) -> RawTrip | None:
    try:
        trip = RawTrip(
            bike=row[columns["bike"]].strip(),
            starts_ms=instant_ms(row[columns["start"]]),
            ends_ms=instant_ms(row[columns["end"]]),
            start=Place(float(row[columns["start_lat"]]), float(row[columns["start_lon"]])),
            end=Place(float(row[columns["end_lat"]]), float(row[columns["end_lon"]])),
        )
    except (ValueError, AttributeError, TypeError):
        return None
    on_earth = all(abs(place.lat_deg) <= 85 and abs(place.lon_deg) <= 180 for place in (trip.start, trip.end))
    return trip if trip.bike and on_earth and trip.ends_ms >= trip.starts_ms else None


@dataclass(frozen=True, slots=True)
class Cast:
    """Which bikes of the file the fleet plays, and where each stands when the replay begins."""

    index_of: Mapping[str, int]
    places: tuple[Place, ...]


def cast(file: TripFile, *, bikes: int, begins_ms: int) -> Cast:
    """The first bikes that ride from then on, each where its last trip before ended, or its first starts."""
    index_of: dict[str, int] = {}
    for trip in file.trips:
        if trip.starts_ms >= begins_ms and trip.bike not in index_of and len(index_of) < bikes:
            index_of[trip.bike] = len(index_of)
    places: dict[int, Place] = {}
    for trip in file.trips:
        index = index_of.get(trip.bike)
        if index is None:
            continue
        if trip.starts_ms < begins_ms:
            places[index] = trip.end
        else:
            places.setdefault(index, trip.start)
    return Cast(index_of, tuple(places[index] for index in range(len(index_of))))


def rides(file: TripFile, cast_: Cast, *, begins_ms: int) -> Iterator[Trip]:
    """The trips of the cast from then on, by start."""
    for trip in file.trips:
        index = cast_.index_of.get(trip.bike)
        if index is not None and trip.starts_ms >= begins_ms:
            yield Trip(index, trip.starts_ms, trip.ends_ms, trip.start, trip.end)
