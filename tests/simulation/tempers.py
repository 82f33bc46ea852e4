"""How devices treat commands, and what their bodies did."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypedDict

from firmware_protocol.commands import Command
from firmware_protocol.messages import DeviceId, Lock, Slot


class Temper(StrEnum):
    """How a device treats commands."""

    CONFORMING = "conforming"
    REFUSES = "refuses"
    JAMS = "jams"
    ACKS_WITHOUT_OPENING = "acks_without_opening"
    OPENS_WITHOUT_ACK = "opens_without_ack"
    ACKS_TWICE = "acks_twice"
    ACKS_LATE = "acks_late"
    IGNORES_EXPIRY = "ignores_expiry"
    EXECUTES_DUPLICATES = "executes_duplicates"
    LOSES_POWER = "loses_power"
    """Between executing and answering."""


RULE_BREAKERS = frozenset({Temper.IGNORES_EXPIRY, Temper.EXECUTES_DUPLICATES, Temper.ACKS_WITHOUT_OPENING})
"""All others keep what the wire promises: never late, never twice, never with an old fence."""


@dataclass(frozen=True, slots=True)
class Execution:
    """One physical act."""

    device_id: DeviceId
    command: Command
    began_ms: int
    """True Unix milliseconds."""
    fence_before: int
    """The highest fence executed in that slot before."""
    power_on: int
    """Of how many the device has had."""


class InSlot(TypedDict, total=False):
    """What the sensors of one slot say."""

    door_closed: bool
    unit_id: str | None


class Sensed(TypedDict, total=False):
    """The part of a report that the body makes."""

    lock: Lock
    slots: tuple[Slot, ...]
