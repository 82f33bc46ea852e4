"""A command and its story in the words of the HTTP API."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import Struct

from api.command_schemas import CommandAnswer, IncidentModel, TimelineAnswer, TimelineLine
from api.instants import instant, instant_or_none
from gateway.command_ports import CommandRecord, TimelineEntry
from gateway.core.command import SAFETY, SETTLED
from gateway.reading import IncidentRow


def command_answer(command: CommandRecord) -> CommandAnswer:
    """As it stands."""
    return CommandAnswer.model_validate(
        {
            "id": str(command.command_id),
            "device_id": command.device_id,
            "kind": command.kind.name.lower(),
            "slot": command.slot,
            "safety": SAFETY[command.kind].name.lower(),
            "phase": command.phase.value,
            "settled": command.phase in SETTLED,
            "fence": command.fence,
            "requested_by": command.requested_by,
            "issued_at": instant(command.issued_ms),
            "not_after": instant(command.not_after_ms),
            "sent_at": instant_or_none(command.sent_ms or 0),
            "settled_at": instant_or_none(command.settled_ms or 0),
            "reason": command.reason,
            "claim_id": command.claim_id,
        }
    )


class _Plain(Struct):
    id: UUID
    device_id: str
    kind: str
    slot: int
    safety: str
    phase: str
    settled: bool
    fence: int
    requested_by: str
    issued_at: datetime
    not_after: datetime
    sent_at: datetime | None
    settled_at: datetime | None
    reason: str
    claim_id: str


_encode = msgspec.json.Encoder().encode


def command_json(command: CommandRecord) -> bytes:
    """The same as JSON, without the framework's models."""
    return _encode(
        _Plain(
            command.command_id,
            command.device_id,
            command.kind.name.lower(),
            command.slot,
            SAFETY[command.kind].name.lower(),
            command.phase.value,
            command.phase in SETTLED,
            command.fence,
            command.requested_by,
            instant(command.issued_ms),
            instant(command.not_after_ms),
            instant_or_none(command.sent_ms or 0),
            instant_or_none(command.settled_ms or 0),
            command.reason,
            command.claim_id,
        )
    )


def timeline_answer(command: CommandRecord, entries: Sequence[TimelineEntry]) -> TimelineAnswer:
    """The story, each line with its milliseconds since the first. Two machines wrote it: a clock that is behind makes
    a line negative rather than wrong."""
    began_ms = entries[0].at_ms if entries else command.issued_ms
    lines = [
        TimelineLine.model_validate(
            {
                "at": instant(entry.at_ms),
                "after_ms": entry.at_ms - began_ms,
                "what": entry.what,
                "phase": entry.phase.value,
                "detail": dict(entry.detail),
            }
        )
        for entry in entries
    ]
    return TimelineAnswer(command_id=str(command.command_id), lines=lines)


def incident_model(row: IncidentRow) -> IncidentModel:
    """As a person reads it."""
    return IncidentModel(
        number=row.number,
        kind=row.kind,
        device_id=row.device_id,
        command_id=str(row.command_id) if row.command_id else None,
        at=instant(row.at_ms),
        detail=dict(row.detail),
    )
