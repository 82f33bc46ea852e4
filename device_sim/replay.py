"""Trips of a CSV file as rides of a fleet."""

import csv
import gzip
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from device_sim.happenings import Trip
from device_sim.movement import Area, Place
from device_sim.trip_count import TripCount, refused_text

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

_MAX_LAT = 85
"""Where the map of the page ends."""
_MAX_LON = 180
_YEAR_10000_MS = 253_402_300_800_000


class BadTripFile(ValueError):
    """The file cannot be read as trips; says what is wrong with it, and what to do."""


class _NoTrip(ValueError):
    """A row is no trip; says why."""


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
    first_refused: str = ""
    """`line 302: start 'oops' is no time`."""

    @property
    def starts_ms(self) -> int:
        return self.trips[0].starts_ms

    @property
    def ends_ms(self) -> int:
        return max(trip.ends_ms for trip in self.trips)

    def count(self, riding_bikes: int) -> TripCount:
        """What it held, when so many of its bikes ride."""
        bikes = len({trip.bike for trip in self.trips})
        return TripCount(len(self.trips), bikes, riding_bikes, self.refused_rows, self.first_refused)

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
        ms = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000
    else:
        # 10^11 seconds lie in the year 5138: above that it must be milliseconds.
        ms = number if number > 1e11 else number * 1000
    # Infinity, microseconds and the like: no calendar and no frame has room for them.
    if not 0 <= ms < _YEAR_10000_MS:
        raise ValueError(f"{text} is not between the years 1970 and 9999")
    return round(ms)


def read_trips(path: Path, mapping: Mapping[str, str]) -> TripFile:
    """All trips of a CSV file, plain or gzipped, by start. Raises BadTripFile, OSError."""
    try:
        with _opened(path) as lines:
            return parse_trips(lines, mapping, name=str(path))
    except UnicodeDecodeError as error:
        raise BadTripFile(
            f"{path} is no CSV in UTF-8; save it as CSV UTF-8, or convert it with iconv -f GBK -t UTF-8"
        ) from error
    except EOFError as error:
        raise BadTripFile(
            f"{path} is cut off: the end of the packed file is missing; copy it again"
        ) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise BadTripFile(
            f"{path} is damaged or not packed by gzip ({error}); copy it again, or unpack it and drop the .gz"
        ) from error


def parse_trips(lines: TextIO, mapping: Mapping[str, str], *, name: str = "the file") -> TripFile:
    """All trips of CSV text, by start. Raises BadTripFile when there is none."""
    rows = _rows(lines, name)
    _, header = next(rows, (0, None))
    if header is None:
        raise BadTripFile(f"{name} is empty; it must begin with the names of columns: {','.join(COLUMNS)}")
    columns = columns_of(header, mapping)
    trips: list[RawTrip] = []
    refused_rows, first_refused = 0, ""
    for line, row in rows:
        try:
            trips.append(_trip(dict(zip(header, row, strict=False)), columns))
        except _NoTrip as why:
            refused_rows += 1
            first_refused = first_refused or f"line {line}: {why}"
    if not trips and not refused_rows:
        raise BadTripFile(f"{name} has no row below the names of its columns")
    if not trips:
        raise BadTripFile(f"{name} has no usable trip; {refused_text(refused_rows, first_refused)}")
    trips.sort(key=lambda trip: trip.starts_ms)
    return TripFile(trips, refused_rows, first_refused)


def _opened(path: Path) -> TextIO:
    # Spreadsheets put a byte order mark before the first column's name: -sig takes it off.
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open("rt", encoding="utf-8-sig", newline="")


def _rows(lines: TextIO, name: str) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not blank, with the number of the line it begins in."""
    reader = csv.reader(lines)
    line = 1
    try:
        for row in reader:
            if row:
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        # Nearly always a quote that opens a field and is never closed: the rest of the file is in that field.
        raise BadTripFile(
            f"{name} is no CSV in line {line}: {error}; is a quote not closed there?"
        ) from error


def _trip(row: Mapping[str, str], columns: Mapping[str, str]) -> RawTrip:
    """One row as a trip. Raises _NoTrip."""
    texts = {ours: row.get(theirs, "").strip() for ours, theirs in columns.items()}
    missing = next((ours for ours, text in texts.items() if not text), None)
    if missing is not None:
        raise _NoTrip(f"{missing} is empty")
    starts_ms, ends_ms = (_time(texts, ours) for ours in ("start", "end"))
    start, end = (
        Place(_degrees(texts, f"{which}_lat", _MAX_LAT), _degrees(texts, f"{which}_lon", _MAX_LON))
        for which in ("start", "end")
    )
    if ends_ms < starts_ms:
        raise _NoTrip(f"end {_shown(texts['end'])} is before start {_shown(texts['start'])}")
    return RawTrip(texts["bike"], starts_ms, ends_ms, start, end)


def _time(texts: Mapping[str, str], ours: str) -> int:
    try:
        return instant_ms(texts[ours])
    except ValueError:
        raise _NoTrip(f"{ours} {_shown(texts[ours])} is no time") from None


def _degrees(texts: Mapping[str, str], ours: str, limit: int) -> float:
    try:
        degrees = float(texts[ours])
    except ValueError:
        raise _NoTrip(f"{ours} {_shown(texts[ours])} is no number") from None
    # Not `> limit`: nothing is larger than what is not a number.
    if not abs(degrees) <= limit:
        raise _NoTrip(f"{ours} {_shown(texts[ours])} is not between -{limit} and {limit} degrees")
    return degrees


def _shown(text: str) -> str:
    """In quotes, and short: a quote that was never closed makes a field of half a file."""
    return repr(text if len(text) <= 40 else f"{text[:39]}…")


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
