"""What people read of the registry, of history and of quarantine: questions and answers."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal
from uuid import UUID

from msgspec import Struct

from gateway.core.device import DeviceModel, DeviceRecord

Step = Literal["raw", "1m", "1h", "1d"]


class KnownDevice(Struct, frozen=True):
    """A device of the registry with its model."""

    record: DeviceRecord
    model: DeviceModel


class RawPoint(Struct, frozen=True):
    """One stored report, without its frame. Times in Unix ms."""

    at_ms: int
    received_ms: int
    boot: int
    seq: int
    clock_suspect: bool
    kept: bool
    lat_e7: int | None
    lon_e7: int | None
    accuracy_m: float | None
    battery_pct: int | None
    bolt: int | None
    moving: bool | None
    units: int | None
    spaces: int | None
    signal_dbm: int | None


class StepPoint(Struct, frozen=True):
    """All reports of one minute, hour or day; `lat_e7`, `lon_e7` are the last position in it."""

    at_ms: int
    reports: int
    lat_e7: int | None
    lon_e7: int | None
    battery_min_pct: int | None
    battery_max_pct: int | None
    units_min: int | None
    units_max: int | None
    spaces_min: int | None
    spaces_max: int | None
    battery_last_pct: int | None = None
    units_last: int | None = None
    spaces_last: int | None = None
    online_minutes: int = 0
    """Minutes in which the device reported."""


class HistoryPage(Struct, frozen=True):
    """Points in the order of time; `next_after` is where the following page starts, or None."""

    points: Sequence[RawPoint] | Sequence[StepPoint]
    next_after: str | None


class HistoryQuestion(Struct, frozen=True):
    """Which part of one device's history. Steps are answered whole: from the step `from_ms` lies in."""

    device_no: int
    operator_id: int
    """Whose reports: a device that changed hands keeps its number."""
    step: Step
    from_ms: int
    to_ms: int
    """Exclusive."""
    limit: int
    after: str | None


class BadCursor(Exception):
    """The `after` of a question was not given out by an answer to the same question."""


class BadRange(Exception):
    """No server should answer this question: empty, too wide for its step, or too many points at once."""


class QuarantineRow(Struct, frozen=True):
    """A frame kept for a person."""

    number: int
    device_id: str
    topic: str
    reason: str
    where: str
    received_ms: int
    frame: bytes


class AuditRow(Struct, frozen=True):
    """One line of the audit log."""

    number: int
    at_ms: int
    actor: str
    role: str
    action: str
    subject: str
    why: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class IncidentRow(Struct, frozen=True):
    """Something that must never happen, and did."""

    number: int
    kind: str
    device_id: str
    command_id: UUID | None
    at_ms: int
    detail: Mapping[str, bool | int | str]
