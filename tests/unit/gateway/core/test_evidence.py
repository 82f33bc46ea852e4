"""What one report says about one command."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from firmware_protocol.commands import CommandKind
from firmware_protocol.messages import Bolt, Lock, Report, Slot
from gateway.core.command import Phase
from gateway.core.evidence import (
    ACTING_MS,
    CLOCK_BEHIND_MS,
    NOTHING,
    Contradicts,
    Done,
    DoneLate,
    NotDone,
    Ordered,
    done_after_all,
    executed_twice,
    judge,
)
from gateway.core.stamped import StampedReport

BOOT = 1_790_000_000
NOT_AFTER_MS = (BOOT + 60) * 1000
LATER_MS = NOT_AFTER_MS + ACTING_MS

UNLOCK = Ordered(CommandKind.UNLOCK, 0, 5, BOOT, BOOT * 1000 + 50_000, NOT_AFTER_MS, Phase.SENT, 100, "")
OPEN_SLOT = structs.replace(UNLOCK, kind=CommandKind.OPEN_SLOT, slot=2)
EJECT = structs.replace(UNLOCK, kind=CommandKind.EJECT, slot=2, unit_before="bank-1")
LOCK = structs.replace(UNLOCK, kind=CommandKind.LOCK)
REBOOT = structs.replace(UNLOCK, kind=CommandKind.REBOOT)
QUERY = structs.replace(UNLOCK, kind=CommandKind.QUERY)


def stamped(
    report: Report, *, at_ms: int = LATER_MS, boot: int = BOOT, received_ms: int = 0
) -> StampedReport:
    return StampedReport(report, boot, 7, at_ms, False, received_ms or at_ms + 50, 0, 0, b"")


def bike(bolt: Bolt, fence: int, openings: int, **more: Any) -> StampedReport:
    return stamped(Report(lock=Lock(bolt, fence, openings)), **more)


def slot(fence: int, openings: int, *, unit: str | None = None, closed: bool = True) -> StampedReport:
    one = Slot(2, unit_id=unit, door_closed=closed, last_fence=fence, openings=openings)
    return stamped(Report(slots=(Slot(1), one)))


def at(phase: Phase, ordered: Ordered = UNLOCK) -> Ordered:
    return structs.replace(ordered, phase=phase)


def test_an_opening_counts_only_once_the_fence_is_reached() -> None:
    assert judge(UNLOCK, bike(Bolt.OPEN, 4, 101, at_ms=NOT_AFTER_MS - 1)) == NOTHING
    assert judge(UNLOCK, bike(Bolt.OPEN, 5, 101)) == Done("openings_rose")
    assert judge(UNLOCK, bike(Bolt.CLOSED, 5, 101)) == Done("openings_rose")


def test_an_old_queued_report_proves_nothing() -> None:
    assert judge(UNLOCK, bike(Bolt.OPEN, 9, 200, boot=BOOT - 1)) == NOTHING


def test_not_executed_is_believed_only_after_the_device_had_to_refuse_it() -> None:
    assert judge(at(Phase.UNCONFIRMED), bike(Bolt.CLOSED, 4, 100, at_ms=LATER_MS - 1)) == NOTHING
    assert judge(at(Phase.UNCONFIRMED), bike(Bolt.CLOSED, 4, 100)) == NotDone("not_executed")
    early = bike(Bolt.CLOSED, 4, 100, received_ms=LATER_MS - 1)
    assert judge(at(Phase.UNCONFIRMED), early) == NOTHING


def test_a_word_that_sensors_belie_is_a_contradiction() -> None:
    assert judge(at(Phase.EXECUTED), bike(Bolt.CLOSED, 5, 100)) == Contradicts("did_not_open")
    assert judge(at(Phase.EXECUTED), bike(Bolt.CLOSED, 4, 100)) == Contradicts("not_executed")
    assert judge(at(Phase.EXECUTED), bike(Bolt.BETWEEN, 5, 100)) == NOTHING


def test_a_device_that_may_have_forgotten_is_not_believed() -> None:
    """After a reboot fence and counter may be gone: only what did not move was not moved."""
    unconfirmed = at(Phase.UNCONFIRMED)
    assert judge(unconfirmed, bike(Bolt.CLOSED, 0, 100, boot=BOOT + 1)) == NotDone("rebooted_before")
    assert judge(unconfirmed, bike(Bolt.CLOSED, 0, 0, boot=BOOT + 1)) == NOTHING
    assert judge(unconfirmed, bike(Bolt.OPEN, 0, 100, boot=BOOT + 1)) == NOTHING
    assert judge(unconfirmed, bike(Bolt.CLOSED, 0, 101, boot=BOOT + 1)) == NOTHING


def test_done_after_it_was_seen_undone_too_late_is_late() -> None:
    assert judge(UNLOCK, bike(Bolt.OPEN, 5, 101), undone_after=True) == DoneLate("openings_rose")


def test_a_door_that_opened_was_opened() -> None:
    assert judge(OPEN_SLOT, slot(5, 100, closed=False)) == Done("is_open")
    assert judge(OPEN_SLOT, slot(5, 101)) == Done("openings_rose")
    assert judge(at(Phase.EXECUTED, OPEN_SLOT), slot(5, 100)) == Contradicts("did_not_open")
    assert judge(OPEN_SLOT, stamped(Report(slots=(Slot(1),)))) == NOTHING


def test_a_unit_that_is_gone_was_ejected() -> None:
    assert judge(EJECT, slot(5, 100)) == Done("unit_gone")
    assert judge(EJECT, slot(5, 100, unit="bank-2")) == Done("unit_gone")
    assert judge(at(Phase.UNCONFIRMED, EJECT), slot(5, 100, unit="bank-1")) == NotDone("unit_still_there")
    assert judge(EJECT, slot(5, 101, unit="bank-1")) == Done("openings_rose")
    assert judge(structs.replace(EJECT, unit_before=""), slot(5, 100)) == NOTHING


def test_a_bolt_that_is_closed_was_locked_unless_a_later_command_is_what_moved_it() -> None:
    assert judge(LOCK, bike(Bolt.CLOSED, 5, 100)) == Done("bolt_closed")
    assert judge(at(Phase.EXECUTED, LOCK), bike(Bolt.OPEN, 5, 100)) == Contradicts("bolt_open")
    assert judge(at(Phase.EXECUTED, LOCK), bike(Bolt.OPEN, 5, 101), overtaken=True) == NOTHING
    assert judge(at(Phase.EXECUTED, LOCK), bike(Bolt.OPEN, 6, 101)) == NOTHING
    assert judge(LOCK, bike(Bolt.CLOSED, 6, 101), undone_after=True) == Done("bolt_closed")


def test_a_new_boot_is_a_reboot_and_any_later_report_an_answer() -> None:
    nothing = Report()
    assert judge(REBOOT, stamped(nothing, boot=BOOT + 9)) == Done("new_boot")
    assert judge(at(Phase.EXECUTED, REBOOT), stamped(nothing)) == Contradicts("same_boot")
    assert judge(QUERY, stamped(nothing, at_ms=QUERY.sent_ms)) == Done("reported")


def test_a_question_is_answered_by_a_device_whose_clock_is_behind_by_the_way_of_a_welcome() -> None:
    nothing = Report()
    assert judge(QUERY, stamped(nothing, at_ms=QUERY.sent_ms - CLOCK_BEHIND_MS)) == Done("reported")
    assert judge(QUERY, stamped(nothing, at_ms=QUERY.sent_ms - CLOCK_BEHIND_MS - 1)) == NOTHING


@pytest.mark.parametrize("kind", [CommandKind.CONFIGURE, CommandKind.LOCATE])
def test_what_no_sensor_shows_no_report_settles(kind: CommandKind) -> None:
    assert judge(structs.replace(UNLOCK, kind=kind), bike(Bolt.OPEN, 9, 200)) == NOTHING


def test_two_openings_for_one_fence_are_one_too_many() -> None:
    assert not executed_twice(UNLOCK, bike(Bolt.OPEN, 5, 101), later=0)
    assert executed_twice(UNLOCK, bike(Bolt.OPEN, 5, 102), later=0)
    assert executed_twice(UNLOCK, bike(Bolt.OPEN, 6, 102), later=0)
    assert not executed_twice(UNLOCK, bike(Bolt.OPEN, 5, 102), later=1)
    assert not executed_twice(structs.replace(UNLOCK, openings_before=None), bike(Bolt.OPEN, 5, 102), later=0)
    assert not executed_twice(LOCK, bike(Bolt.OPEN, 5, 102), later=0)


def test_a_counter_that_rose_after_all_is_noticed() -> None:
    assert done_after_all(UNLOCK, bike(Bolt.CLOSED, 5, 101))
    assert not done_after_all(UNLOCK, bike(Bolt.CLOSED, 5, 100))
    assert not done_after_all(UNLOCK, bike(Bolt.CLOSED, 4, 101))
    assert not done_after_all(LOCK, bike(Bolt.CLOSED, 5, 101))


def test_a_counter_of_an_earlier_boot_says_nothing_about_a_later_command() -> None:
    """Fence and counter begin anew with a boot: what was queued before it is higher and older."""
    assert not done_after_all(UNLOCK, bike(Bolt.CLOSED, 5, 101, boot=BOOT - 1))
    assert done_after_all(UNLOCK, bike(Bolt.CLOSED, 5, 101, boot=BOOT + 1))


@given(
    st.sampled_from([UNLOCK, OPEN_SLOT, EJECT, LOCK, REBOOT, QUERY]),
    st.sampled_from([Phase.SENT, Phase.EXECUTED, Phase.UNCONFIRMED]),
    st.sampled_from(Bolt),
    st.integers(0, 9),
    st.integers(98, 103),
    st.integers(BOOT - 1, BOOT + 1),
    st.booleans(),
)
def test_verdicts_keep_their_rules(
    ordered: Ordered, phase: Phase, bolt: Bolt, fence: int, openings: int, boot: int, undone: bool
) -> None:
    report = Report(
        lock=Lock(bolt, fence, openings),
        slots=(Slot(2, bolt=bolt, unit_id="bank-1", last_fence=fence, openings=openings),),
    )
    verdict = judge(at(phase, ordered), stamped(report, boot=boot), undone_after=undone)
    if boot < BOOT:
        assert verdict == NOTHING
    if isinstance(verdict, Contradicts):
        assert phase is Phase.EXECUTED
    if isinstance(verdict, Done | DoneLate) and ordered.kind not in (CommandKind.REBOOT, CommandKind.QUERY):
        assert fence >= ordered.fence
    if isinstance(verdict, NotDone | Contradicts) and ordered.kind in (
        CommandKind.UNLOCK,
        CommandKind.OPEN_SLOT,
    ):
        assert openings == 100 or (fence < ordered.fence and boot == BOOT)
