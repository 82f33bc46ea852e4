"""Nobody is shown a bike under the id it was used under."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from firmware_protocol.messages import Bolt, DeviceId, Fix, Lock, Report
from gateway.core.advance import REPEATED, apply_report, fold
from gateway.core.device import DeviceModel, DeviceRecord, Status
from gateway.core.live_state import Claim, LiveState, Reason
from gateway.core.silence import hear_nothing
from gateway.core.use import shown_anew, waits_for_its_id
from tests.support.fakes.samples import BIKE, BOOT_MS, CABINET, bike_report, cabinet_report
from tests.unit.gateway.core.test_advance import stamped

BEFORE = DeviceRecord(1, DeviceId("d"), 1, "bike", Status.ACTIVE, "first", 123_456_789)
AFTER = structs.replace(BEFORE, public_id="second", marker=987_654_321)


def locked(seq: int, bolt: Bolt, openings: int = 0) -> Report:
    return structs.replace(bike_report(seq), lock=Lock(bolt, 0, openings))


def after(*reports: Report, device: DeviceRecord = BEFORE, model: DeviceModel = BIKE) -> LiveState:
    state = fold(None, device, model, [stamped(report, model=model) for report in reports])
    assert state is not None
    return state


def codes(state: LiveState) -> set[int]:
    return {code for code, _ in state.reasons}


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


def test_a_use_of_which_no_report_was_heard_is_seen_by_the_counter_of_the_bolt() -> None:
    assert codes(after(locked(1, Bolt.CLOSED, 7), locked(9, Bolt.CLOSED, 7))) == set()
    assert codes(after(locked(1, Bolt.CLOSED, 7), locked(9, Bolt.CLOSED, 8))) == {Reason.RETURNED}


def test_the_first_report_of_a_bike_says_nothing_of_a_use() -> None:
    assert codes(after(locked(1, Bolt.CLOSED, 41))) == set()


def test_where_no_bolt_tells_a_bike_was_used_when_it_moved() -> None:
    still, moving = (structs.replace(bike_report(seq), lock=None, moving=seq == 2) for seq in (1, 2))
    assert codes(after(still, moving)) == {Reason.IN_MOTION}
    again = structs.replace(still, seq=3, elapsed_ms=3_000)
    assert codes(after(still, moving, again)) == {Reason.RETURNED}


def test_a_locked_bike_that_is_carried_was_not_used() -> None:
    carried = structs.replace(bike_report(2), moving=True)
    assert codes(after(bike_report(1), carried, bike_report(3))) == set()


def test_a_claim_is_a_use() -> None:
    claimed = structs.replace(after(bike_report(1)), claims=(Claim("c", 0, BOOT_MS + 60_000),))
    held = fold(claimed, BEFORE, BIKE, [stamped(bike_report(2))])
    assert held is not None
    assert codes(held) == {Reason.CLAIMED}
    free = fold(structs.replace(held, claims=()), BEFORE, BIKE, [stamped(bike_report(3))])
    assert free is not None
    assert codes(free) == {Reason.RETURNED}


def test_who_stands_in_one_place_keeps_its_id() -> None:
    """A cabinet is found by its place in any case, and people look for it by its id."""
    taken = after(cabinet_report(1, {1: "b1"}), cabinet_report(2, {}), model=CABINET)
    back = fold(taken, BEFORE, CABINET, [stamped(cabinet_report(3, {1: "b1"}), model=CABINET)])
    assert back is not None
    assert codes(back) == set()


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


Taken = tuple[str, Bolt, int, bool]
"""What happens, and of a report: the bolt, how often it opened since, and whether there is a fix."""

steps: st.SearchStrategy[Taken] = st.tuples(
    st.sampled_from(("report", "report", "report", "silence", "id")),
    st.sampled_from(Bolt),
    st.integers(0, 1),
    st.booleans(),
)


@given(st.lists(steps, max_size=30))
def test_no_sequence_shows_a_bike_under_an_id_it_was_used_under(taken: list[Taken]) -> None:
    state: LiveState | None = None
    device, used, openings, ids = BEFORE, set[str](), 0, 1
    for seq, (what, bolt, more, fixed) in enumerate(taken, start=1):
        if what == "id":
            if state is not None and waits_for_its_id(state):
                ids += 1
                device = structs.replace(device, public_id=f"id-{ids}", marker=100_000_000 + ids)
                anew = shown_anew(state, device)
                state = state if anew is None else anew.after
        elif what == "silence":
            silent = None if state is None else hear_nothing(state, BIKE, state.heard_at_ms + 200_000)
            state = state if silent is None else silent.after
        else:
            openings += more
            if bolt is not Bolt.CLOSED or (more and state is not None):
                used.add(device.public_id)
            report = structs.replace(
                locked(seq, bolt, openings), fix=Fix(seq * 1_000, 0, 3.0) if fixed else None
            )
            state = fold(state, device, BIKE, [stamped(report)])
        if state is not None and state.entry is not None and state.entry.available:
            assert state.entry.public_id not in used


def test_a_report_that_repeats_the_newest_changes_nothing() -> None:
    back = after(locked(1, Bolt.OPEN), locked(2, Bolt.CLOSED))
    again = apply_report(back, AFTER, BIKE, stamped(locked(2, Bolt.CLOSED)))
    assert again is REPEATED
