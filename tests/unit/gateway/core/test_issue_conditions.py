"""Why a command is not issued."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from firmware_protocol.commands import CommandKind
from firmware_protocol.messages import Bolt, DeviceId, Lock, Report, Slot
from gateway.core.device import DeviceRecord, Kind, Status
from gateway.core.issue_conditions import OUTAGE_MS, OVERRIDABLE, SUPPORTED, Refusal, Situation, refusals
from gateway.core.live_state import Claim
from gateway.ingest.filing import SAVE_EVERY_MS
from gateway.ingest.held_saves import HOLD_MS
from tests.support.fakes.samples import BIKE, BOOT, BOOT_MS, CABINET, LOCKER, state

DEVICE = DeviceRecord(1, DeviceId("bike-a"), 1, "bike", Status.ACTIVE, "public", 1, boot=BOOT)
HEARD_MS = BOOT_MS + 1
CLOSED = Report(lock=Lock(Bolt.CLOSED), battery_pct=80)
OPEN = Report(lock=Lock(Bolt.OPEN), battery_pct=80)
STATE = state(DEVICE.device_id, 1)


def situation(kind: CommandKind = CommandKind.UNLOCK, **more: Any) -> Situation:
    usual = Situation(DEVICE, BIKE, True, STATE, CLOSED, kind, 0, "", HEARD_MS)
    return structs.replace(usual, **more)


def cabinet(*slots: Slot, **more: Any) -> Situation:
    return situation(CommandKind.EJECT, model=CABINET, report=Report(slots=slots), slot=2, **more)


def locker(*slots: Slot, **more: Any) -> Situation:
    return situation(CommandKind.OPEN_SLOT, model=LOCKER, report=Report(slots=slots), slot=2, **more)


def why(one: Situation, *override: Refusal) -> list[Refusal]:
    return [refused.reason for refused in refusals(one, frozenset(override))]


def test_a_healthy_device_that_was_just_heard_obeys() -> None:
    assert why(situation()) == []
    assert why(situation(CommandKind.LOCK, report=OPEN)) == []
    assert why(cabinet(Slot(2, unit_id="bank-1", charge_pct=90))) == []
    assert why(locker(Slot(2, door_closed=True))) == []


CASES = {
    Refusal.NOT_ACTIVE: situation(device=structs.replace(DEVICE, status=Status.SUSPENDED)),
    Refusal.NO_KEY: situation(has_key=False),
    Refusal.NO_BOOT: situation(device=structs.replace(DEVICE, boot=0)),
    Refusal.OFFLINE: situation(now_ms=HEARD_MS + 2 * BIKE.heartbeat_s * 1000 + 1),
    Refusal.UNSUPPORTED: situation(CommandKind.EJECT),
    Refusal.NO_SUCH_SLOT: cabinet(Slot(1, unit_id="bank-1")),
    Refusal.SLOT_EMPTY: cabinet(Slot(2)),
    Refusal.SLOT_OCCUPIED: locker(Slot(2, door_closed=True, occupied=True)),
    Refusal.ALREADY_OPEN: situation(report=OPEN),
    Refusal.ALREADY_CLOSED: situation(CommandKind.LOCK),
    Refusal.LOW_BATTERY: situation(report=structs.replace(CLOSED, battery_pct=3)),
    Refusal.FAULT: situation(report=structs.replace(CLOSED, faults=("motor_stall",))),
    Refusal.CLAIMED_BY_OTHER: situation(
        state=structs.replace(STATE, claims=(Claim("theirs", 0, HEARD_MS + 1),)), claim_id="mine"
    ),
    Refusal.IN_MOTION: situation(CommandKind.LOCK, report=structs.replace(OPEN, moving=True)),
}


@pytest.mark.parametrize("reason", list(Refusal))
def test_each_reason_is_given_where_it_holds_and_says_so_in_a_sentence(reason: Refusal) -> None:
    (refused,) = refusals(CASES[reason])
    assert refused.reason is reason
    assert refused.detail


@pytest.mark.parametrize("reason", list(Refusal))
def test_only_what_leaves_the_command_possible_can_be_overridden(reason: Refusal) -> None:
    assert why(CASES[reason], *Refusal) == ([] if reason in OVERRIDABLE else [reason])


def test_a_device_is_offline_only_after_two_heartbeats() -> None:
    assert why(situation(now_ms=HEARD_MS + 2 * BIKE.heartbeat_s * 1000)) == []
    assert why(situation(state=None, report=None)) == [Refusal.OFFLINE]


def test_a_saved_state_is_behind_and_that_makes_nobody_offline() -> None:
    quick = structs.replace(BIKE, heartbeat_s=30)
    # Saved with the first report after a minute, as it was one report earlier, held for a second: and then one is lost.
    behind_ms = SAVE_EVERY_MS + HOLD_MS + 3 * 30_000
    lock = situation(CommandKind.LOCK, model=quick, report=OPEN, now_ms=HEARD_MS + behind_ms)
    assert why(lock) == [Refusal.OFFLINE]
    assert why(structs.replace(lock, is_live=False)) == []


def test_while_redis_is_away_only_what_must_not_be_done_unseen_needs_a_young_state() -> None:
    much_later: dict[str, Any] = {"now_ms": HEARD_MS + OUTAGE_MS, "is_live": False}
    assert why(situation(**much_later)) == []
    assert why(situation(CommandKind.LOCATE, **much_later)) == []
    assert why(situation(CommandKind.LOCK, report=OPEN, **much_later)) == [Refusal.OFFLINE]
    assert why(locker(Slot(2, door_closed=True), **much_later)) == [Refusal.OFFLINE]
    assert why(situation(now_ms=HEARD_MS + 2 * OUTAGE_MS, is_live=False)) == [Refusal.OFFLINE]


def test_a_saved_state_may_be_older_than_the_last_closing() -> None:
    assert why(situation(report=OPEN, is_live=False)) == []


def test_ones_own_claim_is_no_hindrance_and_neither_is_one_that_is_over() -> None:
    mine = structs.replace(STATE, claims=(Claim("mine", 0, HEARD_MS + 1),))
    assert why(situation(state=mine, claim_id="mine")) == []
    over = structs.replace(STATE, claims=(Claim("theirs", 0, HEARD_MS),))
    assert why(situation(state=over)) == []
    assert why(locker(Slot(2, door_closed=True, occupied=True), claim_id="mine")) == []


def test_a_slot_that_is_out_of_range_is_no_slot() -> None:
    assert why(structs.replace(cabinet(Slot(2, unit_id="b")), slot=9)) == [Refusal.NO_SUCH_SLOT]
    assert why(situation(slot=1)) == [Refusal.NO_SUCH_SLOT]


@given(st.sampled_from(Kind), st.sampled_from(CommandKind))
def test_a_kind_of_device_is_asked_only_for_what_it_can_do(kind: Kind, command: CommandKind) -> None:
    model = {Kind.BIKE: BIKE, Kind.CABINET: CABINET, Kind.LOCKER: LOCKER}[kind]
    asked = situation(command, model=model)
    assert (Refusal.UNSUPPORTED in why(asked)) == (command not in SUPPORTED[kind])


@given(st.sampled_from(CommandKind), st.integers(0, 3))
def test_a_question_or_a_blink_needs_nothing_but_a_device_that_hears(kind: CommandKind, slot: int) -> None:
    broken = structs.replace(OPEN, faults=("broken",), moving=True, battery_pct=0)
    if kind in (CommandKind.QUERY, CommandKind.LOCATE) and slot == 0:
        assert why(situation(kind, report=broken)) == []
