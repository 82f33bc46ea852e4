"""A bike that waits is shown again under another id, and whatever else stands against it stays."""

from msgspec import structs

from firmware_protocol.messages import Bolt
from gateway.core.live_state import Reason
from gateway.core.shown_anew import shown_anew, waits_for_its_id
from gateway.core.silence import hear_nothing
from tests.support.fakes.samples import BIKE
from tests.unit.gateway.core.test_use import AFTER, BEFORE, after, codes, locked


def test_a_bike_that_came_back_waits_and_is_then_shown_under_another_id() -> None:
    in_use = after(locked(1, Bolt.CLOSED), locked(2, Bolt.OPEN))
    assert codes(in_use) == {Reason.BOLT_NOT_CLOSED}
    back = after(locked(1, Bolt.CLOSED), locked(2, Bolt.OPEN), locked(3, Bolt.CLOSED))
    assert codes(back) == {Reason.RETURNED}
    assert waits_for_its_id(back)
    assert back.entry is not None
    assert not back.entry.available
    assert back.entry.units == 0
    assert shown_anew(back, BEFORE) is None
    anew = shown_anew(back, AFTER)
    assert anew is not None
    assert anew.announce
    assert anew.after.revision == back.revision + 1
    entry = anew.after.entry
    assert entry is not None
    assert entry.available
    assert entry.units == 1
    assert (entry.public_id, entry.marker) == ("second", 987_654_321)
    assert shown_anew(anew.after, AFTER) is None


def test_another_reason_stays_when_it_has_its_id() -> None:
    empty = structs.replace(locked(3, Bolt.CLOSED), battery_pct=3)
    anew = shown_anew(after(locked(2, Bolt.OPEN), empty), AFTER)
    assert anew is not None
    assert codes(anew.after) == {Reason.LOW_BATTERY}
    assert anew.after.entry is not None
    assert not anew.after.entry.available


def test_one_that_was_lost_meanwhile_waits_too() -> None:
    back = after(locked(1, Bolt.OPEN), locked(2, Bolt.CLOSED))
    lost = hear_nothing(back, BIKE, back.heard_at_ms + 3_600_000)
    assert lost is not None
    assert waits_for_its_id(lost.after)
    anew = shown_anew(lost.after, AFTER)
    assert anew is not None
    assert not anew.announce
    assert anew.after.entry is None
    assert codes(anew.after) == {Reason.LOST}


def test_the_reason_stands_behind_all_others() -> None:
    """Which is where it is looked for."""
    assert max(Reason) is Reason.RETURNED
