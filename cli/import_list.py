"""A file of devices to import, read whole and checked line by line before anything is done."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from firmware_protocol.errors import MalformedTopic
from firmware_protocol.topics import checked_device_id
from gateway.core.device import Status
from gateway.stores.registration import NewDevice

COLUMNS = frozenset({"device_id", "model", "operator_id", "password", "lat", "lon"})
MAX_PASSWORD_CHARS = 200


@dataclass(frozen=True, slots=True)
class Fault:
    """A line that cannot be imported."""

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Entry:
    """A line that can."""

    line: int
    device: NewDevice
    password: str


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a line says by saying nothing."""

    model: str = ""
    operator_id: int = 1
    status: Status = Status.ACTIVE


class BadList(Exception):
    """The file is no list of devices at all."""


def read_list(
    path: Path, defaults: Defaults, models: frozenset[str], operators: frozenset[int]
) -> "DeviceList":
    """Raises BadList, OSError."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            names = frozenset(reader.fieldnames or ())
            if "device_id" not in names or names - COLUMNS:
                raise BadList(f"{path}: the first line names columns: device_id and any of {_others()}")
            known = _Known(defaults, models, operators)
            return DeviceList(list(known.entries((reader.line_num, row) for row in reader)), known.faults)
    except (csv.Error, UnicodeDecodeError) as error:
        raise BadList(f"{path} is no CSV in UTF-8: {error}") from error


@dataclass(frozen=True, slots=True)
class DeviceList:
    """All lines of a file, the good and the faulty."""

    entries: list[Entry]
    faults: list[Fault]


class _Known:
    """Checks lines against what exists and against each other."""

    def __init__(self, defaults: Defaults, models: frozenset[str], operators: frozenset[int]) -> None:
        self._defaults = defaults
        self._models = models
        self._operators = operators
        self._line_of: dict[str, int] = {}
        self.faults: list[Fault] = []

    def entries(self, lines: Iterable[tuple[int, dict[str, str | None]]]) -> Iterator[Entry]:
        for number, row in lines:
            try:
                yield self._entry(number, row)
            except (ValueError, MalformedTopic) as error:
                self.faults.append(Fault(number, str(error)))

    def _entry(self, number: int, row: dict[str, str | None]) -> Entry:
        if None in row or None in row.values():
            raise ValueError("it has another number of columns than the first line")
        said = {name: (value or "").strip() for name, value in row.items()}
        device_id = checked_device_id(said["device_id"])
        if (first := self._line_of.setdefault(device_id, number)) != number:
            raise ValueError(f"{device_id} stands in line {first} already")
        model = said.get("model") or self._defaults.model
        if model not in self._models:
            raise ValueError(f"there is no model {model!r}" if model else "it names no model")
        operator = _whole(said.get("operator_id") or str(self._defaults.operator_id))
        if operator not in self._operators:
            raise ValueError(f"there is no operator {operator}")
        lat, lon = _degrees(said.get("lat", ""), 90), _degrees(said.get("lon", ""), 180)
        if (lat is None) != (lon is None):
            raise ValueError("lat and lon belong together")
        if len(password := said.get("password", "")) > MAX_PASSWORD_CHARS:
            raise ValueError(f"a password has at most {MAX_PASSWORD_CHARS} characters")
        return Entry(number, NewDevice(device_id, model, operator, self._defaults.status, lat, lon), password)


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"{text!r} is no operator")
    return int(text)


def _degrees(text: str, bound: int) -> int | None:
    """In ten-millionths."""
    if not text:
        return None
    try:
        degrees = float(text)
    except ValueError:
        raise ValueError(f"{text!r} are no degrees") from None
    if not -bound <= degrees <= bound:
        raise ValueError(f"{text} degrees are out of range")
    return round(degrees * 1e7)


def _others() -> str:
    return ", ".join(sorted(COLUMNS - {"device_id"}))
