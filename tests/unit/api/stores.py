"""PostgreSQL in memory, as far as the API reads it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from firmware_protocol.messages import DeviceId
from gateway.core.device import DeviceModel, DeviceRecord, Kind, Status
from gateway.core.live_state import LiveState
from gateway.ports import StoreUnavailable
from gateway.reading import (
    AuditRow,
    BadCursor,
    BadRange,
    HistoryPage,
    HistoryQuestion,
    IncidentRow,
    KnownDevice,
    QuarantineRow,
)

MODEL = DeviceModel(model="city-bike", kind=Kind.BIKE, heartbeat_s=60, quiet_after_s=150, lost_after_s=600)
NOW_MS = 1_790_000_000_000


def known(
    device_id: str, *, public_id: str = "", home: tuple[int, int] | None = None, operator_id: int = 1
) -> KnownDevice:
    """A registered bike."""
    record = DeviceRecord(
        device_no=len(device_id),
        device_id=DeviceId(device_id),
        operator_id=operator_id,
        model=MODEL.model,
        status=Status.ACTIVE,
        public_id=public_id or f"p-{device_id}",
        marker=123_456_789,
        home_lat_e7=home[0] if home else None,
        home_lon_e7=home[1] if home else None,
    )
    return KnownDevice(record, MODEL)


@dataclass
class Truth:
    """PostgreSQL in memory."""

    registered: list[KnownDevice] = field(default_factory=list)
    points: HistoryPage = field(default_factory=lambda: HistoryPage([], None))
    asked: list[HistoryQuestion] = field(default_factory=list)
    frames: list[QuarantineRow] = field(default_factory=list)
    incidents: list[IncidentRow] = field(default_factory=list)
    audited: list[AuditRow] = field(default_factory=list)
    states: dict[int, LiveState] = field(default_factory=dict)
    is_away: bool = False

    async def ping(self) -> None:
        if self.is_away:
            raise StoreUnavailable("gone")

    async def find(self, name: str, *, operator_id: int) -> KnownDevice | None:
        await self.ping()
        own = [one.record for one in self.registered if one.record.operator_id == operator_id]
        found = next((one for one in own if name in (one.device_id, one.public_id)), None)
        return next((one for one in self.registered if one.record is found), None)

    def doubt(self, name: str) -> None:
        """Nothing is in memory."""

    async def page(self, after: str, limit: int, *, operator_id: int) -> Sequence[KnownDevice]:
        await self.ping()
        own = [one for one in self.registered if one.record.operator_id == operator_id]
        return [one for one in own if one.record.device_id > after][:limit]

    async def saved(self, device_no: int) -> LiveState | None:
        await self.ping()
        return self.states.get(device_no)


@dataclass
class History:
    """Answers what it was told to."""

    truth: Truth

    async def page(self, question: HistoryQuestion) -> HistoryPage:
        await self.truth.ping()
        self.truth.asked.append(question)
        if question.after == "forged":
            raise BadCursor
        if question.step == "raw" and question.to_ms - question.from_ms > 92 * 86_400_000:
            raise BadRange("a range of step raw is at most 92 days wide")
        return self.truth.points


@dataclass
class Quarantine:
    """Rows with falling numbers, all of operator 1."""

    truth: Truth

    async def page(self, before: int | None, limit: int, *, operator_id: int) -> Sequence[QuarantineRow]:
        await self.truth.ping()
        own = self.truth.frames if operator_id == 1 else []
        return [row for row in own if before is None or row.number < before][:limit]


@dataclass
class Incidents:
    """Rows with falling numbers, all of operator 1."""

    truth: Truth

    async def page(self, operator_id: int, before: int | None, limit: int) -> Sequence[IncidentRow]:
        await self.truth.ping()
        own = self.truth.incidents if operator_id == 1 else []
        return [row for row in own if before is None or row.number < before][:limit]


@dataclass
class Audit:
    """Rows with falling numbers, all of operator 1."""

    truth: Truth

    async def page(self, operator_id: int, before: int | None, limit: int) -> Sequence[AuditRow]:
        await self.truth.ping()
        own = self.truth.audited if operator_id == 1 else []
        return [row for row in own if before is None or row.number < before][:limit]
