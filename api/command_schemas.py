"""What the HTTP API takes and answers about commands: shapes, units and examples."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from firmware_protocol.limits import MAX_SETTING_CHARS, MAX_SETTINGS, MAX_SLOTS
from gateway.commands.issue import DEFAULT_TTL_S, MAX_TTL_S, MIN_TTL_S

KindOfCommand = Literal["unlock", "lock", "eject", "open_slot", "locate", "reboot", "configure", "query"]
SafetyName = Literal["repeatable", "state_setting", "one_shot"]
PhaseName = Literal[
    "issued",
    "sent",
    "accepted",
    "executed",
    "unconfirmed",
    "confirmed",
    "refused",
    "failed",
    "expired",
    "cancelled",
    "executed_late",
    "abandoned",
]
OverridableName = Literal["low_battery", "fault", "claimed_by_other", "slot_occupied"]
SettingName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,24}$")]
SettingText = Annotated[str, StringConstraints(max_length=MAX_SETTING_CHARS, pattern=r"^[ -~]*$")]
SettingNumber = Annotated[int, Field(ge=-(2**63), le=2**63 - 1, strict=True)]
SettingSwitch = Annotated[bool, Field(strict=True)]
Why = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]

CLAIM_PATTERN = r"^[A-Za-z0-9._:-]{0,64}$"

COMMAND_EXAMPLE: dict[str, Any] = {
    "id": "0198f6a2-7c11-7cc2-9f52-1f6a0d6c1b11",
    "device_id": "bike-000017",
    "kind": "unlock",
    "slot": 0,
    "safety": "one_shot",
    "phase": "confirmed",
    "settled": True,
    "fence": 42,
    "requested_by": "staff:ines",
    "issued_at": "2025-10-09T08:53:20.114Z",
    "not_after": "2025-10-09T08:53:30Z",
    "sent_at": "2025-10-09T08:53:20.131Z",
    "settled_at": "2025-10-09T08:53:21.002Z",
    "reason": "",
    "claim_id": "",
}


class CommandWish(BaseModel):
    """What a device is to do."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"kind": "unlock"}, {"kind": "eject", "slot": 3, "ttl_s": 8}]},
    )

    kind: KindOfCommand
    slot: int = Field(0, ge=0, le=MAX_SLOTS, description="0 is the device itself", strict=True)
    ttl_s: int = Field(
        DEFAULT_TTL_S,
        ge=MIN_TTL_S,
        le=MAX_TTL_S,
        strict=True,
        description="Seconds after which no conforming device obeys",
    )
    claim_id: Annotated[str, StringConstraints(pattern=CLAIM_PATTERN)] = Field(
        "", description="The hold, booking or rental on whose behalf this is"
    )
    why: Why = Field("", description="For the audit log; needed with `override`")
    override: list[OverridableName] = Field([], max_length=4, description="Conditions to pass over")
    settings: dict[SettingName, SettingSwitch | SettingNumber | SettingText] = Field(
        {},
        max_length=MAX_SETTINGS,
        description="Only for `configure`",
        json_schema_extra={"additionalProperties": False},
    )


class Reconsideration(BaseModel):
    """Why a command is taken back or given up."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"why": "the rider has left"}]})

    why: Why = ""


NO_WORD = Reconsideration()
"""Of whoever sends no body."""


class CommandAnswer(BaseModel):
    """One command as it stands."""

    model_config = ConfigDict(json_schema_extra={"examples": [COMMAND_EXAMPLE]})

    id: str
    device_id: str
    kind: KindOfCommand
    slot: int
    safety: SafetyName
    phase: PhaseName
    settled: bool = Field(description="Nothing changes any more, except that an incident may be added")
    fence: int = Field(description="Order of the commands of this device")
    requested_by: str
    issued_at: datetime
    not_after: datetime = Field(description="No conforming device obeys from this moment on")
    sent_at: datetime | None
    settled_at: datetime | None
    reason: str = Field(description="Why it ended so, when the phase does not say it all")
    claim_id: str


class TimelineLine(BaseModel):
    """One moment in the life of a command."""

    at: datetime
    after_ms: int = Field(description="Milliseconds since the first line")
    what: str = Field(examples=["published"])
    phase: PhaseName = Field(description="After it")
    detail: dict[str, bool | int | str]


class TimelineAnswer(BaseModel):
    """The story of one command, oldest first."""

    command_id: str
    lines: list[TimelineLine]


class CommandPage(BaseModel):
    """Commands of one device, newest first."""

    commands: list[CommandAnswer]
    next: str | None = Field(description="Give it as `before` for the next page; null at the end")


class IncidentModel(BaseModel):
    """Something that must never happen, and did."""

    number: int
    kind: str = Field(examples=["executed_late"])
    device_id: str
    command_id: str | None
    at: datetime
    detail: dict[str, bool | int | str]


class IncidentPage(BaseModel):
    """Newest first."""

    incidents: list[IncidentModel]
    next: int | None = Field(description="Give it as `before` for the next page; null at the end")
