"""What the API needs to read of the world besides the live feed."""

from collections.abc import Sequence
from typing import Protocol

from firmware_protocol.messages import DeviceId
from gateway.core.live_state import LiveState
from gateway.reading import AuditRow as AuditRow
from gateway.reading import BadCursor as BadCursor
from gateway.reading import BadRange as BadRange
from gateway.reading import HistoryPage as HistoryPage
from gateway.reading import HistoryQuestion as HistoryQuestion
from gateway.reading import IncidentRow as IncidentRow
from gateway.reading import KnownDevice as KnownDevice
from gateway.reading import QuarantineRow as QuarantineRow
from gateway.reading import RawPoint as RawPoint
from gateway.reading import Step as Step
from gateway.reading import StepPoint as StepPoint


class DevicesByName(Protocol):
    """One device out of the registry."""

    async def find(self, name: str, *, operator_id: int) -> KnownDevice | None:
        """By device id or current public id; None for another operator's too. Raises StoreUnavailable."""


class DevicesInMemory(DevicesByName, Protocol):
    """As they were some seconds ago."""

    def doubt(self, name: str) -> None:
        """It was found to be another by now."""


class Devices(DevicesByName, Protocol):
    """The registry, as far as it is read."""

    async def page(self, after: str, limit: int, *, operator_id: int) -> Sequence[KnownDevice]:
        """One operator's in the order of device ids, after this one. Raises StoreUnavailable."""


class History(Protocol):
    """Stored reports."""

    async def page(self, question: HistoryQuestion) -> HistoryPage:
        """Raises BadRange, BadCursor, StoreUnavailable."""


class Quarantine(Protocol):
    """Frames that nobody understood."""

    async def page(self, before: int | None, limit: int, *, operator_id: int) -> Sequence[QuarantineRow]:
        """Newest first, older than number `before`; those of devices nobody registered are nobody's.
        Raises StoreUnavailable."""


class AuditLog(Protocol):
    """Who did what."""

    async def page(self, operator_id: int, before: int | None, limit: int) -> Sequence[AuditRow]:
        """Newest first, older than number `before`. Raises StoreUnavailable."""


class SavedStates(Protocol):
    """The way to a device's state while Redis is away."""

    async def saved(self, device_no: int) -> LiveState | None:
        """At most a minute old while the device reports. Raises StoreUnavailable."""


class Truth(Protocol):
    """Whether PostgreSQL answers."""

    async def ping(self) -> None:
        """Raises StoreUnavailable."""


class LiveStatesRead(Protocol):
    """What Redis believes now."""

    async def get(self, device_id: DeviceId) -> LiveState | None:
        """Raises StoreUnavailable."""


class Incidents(Protocol):
    """What must never happen, and did."""

    async def page(self, operator_id: int, before: int | None, limit: int) -> Sequence[IncidentRow]:
        """Of this operator, newest first, older than number `before`. Raises StoreUnavailable."""
