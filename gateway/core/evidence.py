"""What one report says about one command: done, not done, or nothing."""

from typing import Final

from msgspec import Struct

from firmware_protocol.commands import FENCED, CommandKind
from firmware_protocol.messages import Bolt, Report
from gateway.core.command import OPENING, Phase
from gateway.core.stamped import StampedReport

ACTING_MS: Final = 5_000
"""A motor that began to turn just before `not_after` has ended by then: earlier reports cannot say "not done"."""

CLOCK_BEHIND_MS: Final = 1_000
"""A device reckons its time from a welcome, and is behind by the way that took: it may answer before it was asked."""


class Ordered(Struct, frozen=True, gc=False):
    """What evidence needs to know of a command."""

    kind: CommandKind
    slot: int
    fence: int
    boot: int
    sent_ms: int
    not_after_ms: int
    phase: Phase
    openings_before: int | None
    unit_before: str


class Done(Struct, frozen=True):
    """It was executed; `why` names what shows it."""

    why: str


class DoneLate(Struct, frozen=True):
    """It was executed, and a report made after `not_after` had shown it not executed."""

    why: str


class NotDone(Struct, frozen=True):
    """It was not executed, and a device that keeps the rules cannot execute it any more."""

    why: str


class Contradicts(Struct, frozen=True):
    """The device had said that it was executed; it was not."""

    why: str


class Nothing(Struct, frozen=True):
    """The report says nothing about it."""


Verdict = Done | DoneLate | NotDone | Contradicts | Nothing
NOTHING: Final = Nothing()


class Place(Struct, frozen=True, gc=False):
    """The bolt or the slot that a command is about, as one report shows it."""

    last_fence: int
    openings: int
    bolt: Bolt | None
    door_closed: bool | None = None
    unit_id: str = ""

    @property
    def is_open(self) -> bool:
        return self.bolt is Bolt.OPEN or self.door_closed is False

    @property
    def is_closed(self) -> bool:
        """As far as any sensor tells; a bolt between its ends is neither."""
        return not self.is_open and (self.bolt is Bolt.CLOSED or self.door_closed is True)


def place_in(report: Report, slot: int) -> Place | None:
    """None when the report says nothing about the place. Slot 0 is the device's own bolt."""
    if slot == 0:
        lock = report.lock
        return None if lock is None else Place(lock.last_fence, lock.openings, lock.bolt)
    for one in report.slots:
        if one.number == slot:
            return Place(one.last_fence, one.openings, one.bolt, one.door_closed, one.unit_id or "")
    return None


def judge(
    ordered: Ordered, stamped: StampedReport, *, undone_after: bool = False, overtaken: bool = False
) -> Verdict:
    """`undone_after`: an earlier report, made after `not_after`, showed it not executed. `overtaken`: a later
    command that opens the same place was sent, which may be what moved it."""
    if stamped.boot < ordered.boot or stamped.clock_suspect:
        return NOTHING
    if ordered.kind is CommandKind.QUERY:
        return Done("reported") if stamped.at_ms + CLOCK_BEHIND_MS >= ordered.sent_ms else NOTHING
    if ordered.kind is CommandKind.REBOOT:
        return _judge_reboot(ordered, stamped)
    place = place_in(stamped.report, ordered.slot)
    if place is None or ordered.kind not in FENCED or ordered.kind is CommandKind.CONFIGURE:
        return NOTHING
    if place.last_fence < ordered.fence:
        return _unreached(ordered, place, stamped)
    if ordered.kind is CommandKind.LOCK:
        exact = place.last_fence == ordered.fence and not overtaken
        shown = _locked(ordered, place, exact=exact)
        undone_after = undone_after and exact
    else:
        shown = _effect(ordered, place)
    return DoneLate(shown.why) if isinstance(shown, Done) and undone_after else shown


def executed_twice(ordered: Ordered, stamped: StampedReport, *, later: int) -> bool:
    """It opened more often than it and the `later` commands can have opened it that were sent for the same place."""
    place = place_in(stamped.report, ordered.slot)
    before = ordered.openings_before
    if place is None or before is None or ordered.kind not in OPENING:
        return False
    return place.last_fence >= ordered.fence and place.openings >= before + 2 + later


def done_after_all(ordered: Ordered, stamped: StampedReport) -> bool:
    """A counter of openings rose for a command that was settled as not done; to be asked while no later one for the
    same place was sent."""
    place = place_in(stamped.report, ordered.slot)
    before = ordered.openings_before
    if place is None or before is None or ordered.kind not in OPENING or stamped.boot < ordered.boot:
        return False
    return place.last_fence >= ordered.fence and place.openings > before


def _judge_reboot(ordered: Ordered, stamped: StampedReport) -> Verdict:
    if stamped.boot > ordered.boot:
        return Done("new_boot")
    return _not_done(ordered, "same_boot") if _is_after(ordered, stamped) else NOTHING


def _is_after(ordered: Ordered, stamped: StampedReport) -> bool:
    """Made after the device had to refuse it; and heard after that, whatever the device's clock says."""
    return min(stamped.at_ms, stamped.received_ms) >= ordered.not_after_ms + ACTING_MS


def _not_done(ordered: Ordered, why: str) -> Verdict:
    return Contradicts(why) if ordered.phase is Phase.EXECUTED else NotDone(why)


def _unreached(ordered: Ordered, place: Place, stamped: StampedReport) -> Verdict:
    """The device says that it did not execute it. After a reboot it may only have forgotten: then nothing may have
    moved either."""
    if stamped.boot == ordered.boot:
        return _not_done(ordered, "not_executed") if _is_after(ordered, stamped) else NOTHING
    untouched = place.openings == ordered.openings_before and not place.is_open
    if ordered.kind is CommandKind.EJECT:
        untouched = untouched and place.unit_id == ordered.unit_before
    if ordered.kind is CommandKind.LOCK:
        untouched = place.bolt is Bolt.OPEN
    return _not_done(ordered, "rebooted_before") if untouched else NOTHING


def _effect(ordered: Ordered, place: Place) -> Verdict:
    """The device says that it executed it: do its sensors say so too?"""
    before = ordered.openings_before
    if before is not None and place.openings > before:
        return Done("openings_rose")
    if ordered.kind is CommandKind.EJECT:
        return _ejected(ordered, place)
    if place.is_open:
        return Done("is_open")
    return _not_done(ordered, "did_not_open") if place.openings == before and place.is_closed else NOTHING


def _locked(ordered: Ordered, place: Place, *, exact: bool) -> Verdict:
    """What a later command has opened may have been closed before."""
    if place.is_closed:
        return Done("bolt_closed")
    return _not_done(ordered, "bolt_open") if place.is_open and exact else NOTHING


def _ejected(ordered: Ordered, place: Place) -> Verdict:
    if not ordered.unit_before:
        return NOTHING
    if place.unit_id != ordered.unit_before:
        return Done("unit_gone")
    return _not_done(ordered, "unit_still_there") if place.openings == ordered.openings_before else NOTHING
