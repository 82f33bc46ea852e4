"""Whether a command would be pointless or unsafe now, and why."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from msgspec import Struct

from firmware_protocol.commands import CommandKind
from firmware_protocol.messages import Bolt, Report, Slot
from gateway.core.command import OPENING
from gateway.core.device import DeviceModel, DeviceRecord, Kind, Status
from gateway.core.live_state import LiveState

HEARTBEATS_HEARD: Final = 2
"""Silent for longer than so many, a device is taken for offline: what it cannot hear is not sent."""

HEARTBEATS_SAVED: Final = 2
"""A saved state is that of the report before, and saved with the first one after its time has come."""

SAVED_BEHIND_MS: Final = 65_000
"""What else it may be behind: it is saved once a minute, and held for some seconds."""

OUTAGE_MS: Final = 3_600_000
"""While Redis is away nothing more is saved, so what was heard within the hour may well be there. Who is not hears
nothing later either, and the command ends as one that nobody answered."""


class Refusal(StrEnum):
    """Why a command is not issued."""

    NOT_ACTIVE = "not_active"
    NO_KEY = "no_key"
    NO_BOOT = "no_boot"
    OFFLINE = "offline"
    UNSUPPORTED = "unsupported"
    NO_SUCH_SLOT = "no_such_slot"
    SLOT_EMPTY = "slot_empty"
    SLOT_OCCUPIED = "slot_occupied"
    ALREADY_OPEN = "already_open"
    ALREADY_CLOSED = "already_closed"
    LOW_BATTERY = "low_battery"
    FAULT = "fault"
    CLAIMED_BY_OTHER = "claimed_by_other"
    IN_MOTION = "in_motion"


OVERRIDABLE: Final = frozenset(
    {Refusal.LOW_BATTERY, Refusal.FAULT, Refusal.CLAIMED_BY_OTHER, Refusal.SLOT_OCCUPIED}
)
"""What staff may skip with a reason of their own: none of it makes the command impossible."""

SUPPORTED: Final = {
    Kind.BIKE: frozenset(CommandKind) - {CommandKind.EJECT, CommandKind.OPEN_SLOT},
    Kind.CABINET: frozenset(CommandKind) - {CommandKind.UNLOCK, CommandKind.LOCK, CommandKind.OPEN_SLOT},
    Kind.LOCKER: frozenset(CommandKind) - {CommandKind.UNLOCK, CommandKind.LOCK, CommandKind.EJECT},
}

OF_A_SLOT: Final = frozenset({CommandKind.EJECT, CommandKind.OPEN_SLOT})
MOVING_PARTS: Final = OF_A_SLOT | {CommandKind.UNLOCK, CommandKind.LOCK}

UNSEEN: Final = frozenset(CommandKind) - MOVING_PARTS | {CommandKind.UNLOCK}
"""Harm nobody where the device is not as it was: a bike that moves must not be locked, and a compartment may have been
given to another."""


class Refused(Struct, frozen=True):
    """One reason, with a sentence for a person."""

    reason: Refusal
    detail: str


class Situation(Struct, frozen=True):
    """Everything the conditions look at."""

    device: DeviceRecord
    model: DeviceModel
    has_key: bool
    state: LiveState | None
    report: Report | None
    """The newest, of `state`."""
    kind: CommandKind
    slot: int
    claim_id: str
    now_ms: int
    is_live: bool = True
    """False for a state that was saved, which is behind what is: Redis is away, and never decides."""


def refusals(situation: Situation, override: frozenset[Refusal] = frozenset()) -> tuple[Refused, ...]:
    """Every reason against it, in a fixed order; empty when it may be issued."""
    found = [*_of_device(situation), *_of_presence(situation)]
    if not found:
        found = [*_of_target(situation)]
    skipped = override & OVERRIDABLE
    return tuple(one for one in found if one.reason not in skipped)


def _of_device(situation: Situation) -> Iterator[Refused]:
    device, model, kind, slot = situation.device, situation.model, situation.kind, situation.slot
    if device.status is not Status.ACTIVE:
        yield Refused(Refusal.NOT_ACTIVE, f"the device is {device.status.name.lower()}")
    if not situation.has_key:
        yield Refused(Refusal.NO_KEY, "the device has no key, so it could not tell our commands from others")
    if device.boot == 0:
        yield Refused(Refusal.NO_BOOT, "the device never said hello")
    if kind not in SUPPORTED[model.kind]:
        yield Refused(Refusal.UNSUPPORTED, f"a {model.kind.name.lower()} knows no {kind.name.lower()}")
    elif kind in OF_A_SLOT and not 1 <= slot <= model.slot_count:
        yield Refused(Refusal.NO_SUCH_SLOT, f"slots are 1 to {model.slot_count}")
    elif kind not in OF_A_SLOT and slot:
        yield Refused(Refusal.NO_SUCH_SLOT, f"{kind.name.lower()} is for the whole device")


def _of_presence(situation: Situation) -> Iterator[Refused]:
    state = situation.state
    if state is None or situation.report is None:
        yield Refused(Refusal.OFFLINE, "the device was never heard")
        return
    silent_ms = situation.now_ms - state.heard_at_ms
    if silent_ms > _patience_ms(situation):
        yield Refused(Refusal.OFFLINE, f"the device was last heard {silent_ms // 1000} s ago")


def _patience_ms(situation: Situation) -> int:
    """How old the newest state may be before its device is taken for offline."""
    heartbeat_ms = situation.model.heartbeat_s * 1000
    if situation.is_live:
        return HEARTBEATS_HEARD * heartbeat_ms
    saved_ms = (HEARTBEATS_HEARD + HEARTBEATS_SAVED) * heartbeat_ms + SAVED_BEHIND_MS
    return saved_ms + OUTAGE_MS if situation.kind in UNSEEN else saved_ms


def _of_target(situation: Situation) -> Iterator[Refused]:
    report, kind = situation.report, situation.kind
    if report is None or kind not in MOVING_PARTS:
        return
    if kind in OF_A_SLOT:
        slot = next((one for one in report.slots if one.number == situation.slot), None)
        if slot is None:
            yield Refused(Refusal.NO_SUCH_SLOT, "the device does not report this slot")
            return
        yield from _of_slot(situation, slot)
    else:
        yield from _of_bolt(situation, report)
    if kind in OPENING and report.faults:
        yield Refused(Refusal.FAULT, f"the device reports {', '.join(report.faults)}")
    yield from _of_claims(situation)


def _of_bolt(situation: Situation, report: Report) -> Iterator[Refused]:
    bolt = None if report.lock is None else report.lock.bolt
    if bolt is None:
        yield Refused(Refusal.UNSUPPORTED, "the device reports no bolt")
    elif situation.kind is CommandKind.UNLOCK and bolt is Bolt.OPEN and situation.is_live:
        # A saved state may be older than the last closing, and to open what is open harms nobody.
        yield Refused(Refusal.ALREADY_OPEN, "the bolt is open")
    elif situation.kind is CommandKind.LOCK and bolt is Bolt.CLOSED:
        yield Refused(Refusal.ALREADY_CLOSED, "the bolt is closed")
    if situation.kind is CommandKind.LOCK and report.moving:
        yield Refused(Refusal.IN_MOTION, "the device is moving: a closing bolt would throw its rider")
    charge_pct = report.battery_pct
    if situation.kind is CommandKind.UNLOCK and _is_low(charge_pct, situation.model):
        yield Refused(Refusal.LOW_BATTERY, f"the battery is at {charge_pct} %")


def _of_slot(situation: Situation, slot: Slot) -> Iterator[Refused]:
    if situation.kind is CommandKind.EJECT:
        if slot.unit_id is None and not slot.occupied:
            yield Refused(Refusal.SLOT_EMPTY, "there is no unit in the slot")
        if _is_low(slot.charge_pct, situation.model):
            yield Refused(Refusal.LOW_BATTERY, f"the unit is charged to {slot.charge_pct} %")
    else:
        if slot.door_closed is False or slot.bolt is Bolt.OPEN:
            yield Refused(Refusal.ALREADY_OPEN, "the door is open")
        if slot.occupied and not situation.claim_id:
            yield Refused(
                Refusal.SLOT_OCCUPIED, "something is in the compartment, and no claim says whose it is"
            )
    if slot.faults:
        yield Refused(Refusal.FAULT, f"the slot reports {', '.join(slot.faults)}")


def _of_claims(situation: Situation) -> Iterator[Refused]:
    claims = situation.state.claims if situation.state is not None else ()
    for claim in claims:
        standing = claim.slot == situation.slot and claim.until_ms > situation.now_ms
        if standing and claim.claim_id != situation.claim_id:
            yield Refused(Refusal.CLAIMED_BY_OTHER, "another claim stands on it")
            return


def _is_low(charge_pct: int | None, model: DeviceModel) -> bool:
    return charge_pct is not None and charge_pct < model.battery_low_pct
