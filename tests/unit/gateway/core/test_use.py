"""Nobody is shown a bike under the id it was used under."""

from dataclasses import dataclass, field
from math import cos, radians

from hypothesis import given
from hypothesis import strategies as st
from msgspec import msgpack, structs

from firmware_protocol.messages import Bolt, DeviceId, Fix, Lock, Report
from gateway.core.advance import REPEATED, apply_report, fold
from gateway.core.device import DeviceModel, DeviceRecord, Status
from gateway.core.live_state import UNKNOWN, Claim, LiveState, Reason
from gateway.core.shown_anew import shown_anew, waits_for_its_id
from gateway.core.silence import hear_nothing
from gateway.core.use import CARRIED_M
from geo.point import from_degrees
from tests.support.fakes.samples import BIKE, BOOT_MS, CABINET, bike_report, cabinet_report
from tests.unit.gateway.core.test_advance import stamped

BEFORE = DeviceRecord(1, DeviceId("d"), 1, "bike", Status.ACTIVE, "first", 123_456_789)
AFTER = structs.replace(BEFORE, public_id="second", marker=987_654_321, public_id_no=2)


def locked(seq: int, bolt: Bolt, openings: int = 0) -> Report:
    return structs.replace(bike_report(seq), lock=Lock(bolt, 0, openings))


def after(*reports: Report, device: DeviceRecord = BEFORE, model: DeviceModel = BIKE) -> LiveState:
    state = fold(None, device, model, [stamped(report, model=model) for report in reports])
    assert state is not None
    return state


def codes(state: LiveState) -> set[int]:
    return {code for code, _ in state.reasons}


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


@dataclass
class Town:
    """One bike, the registry, and a process that may remember an older row of it."""

    counts: bool
    """Whether its bolt counts openings."""
    rows: list[DeviceRecord] = field(default_factory=lambda: [BEFORE])
    state: LiveState | None = None
    seq: int = 0
    openings: int = 0
    used: set[str] = field(default_factory=set)
    """Ids that riders were shown, or could have been, when the bike was used."""

    def report(self, bolt: Bolt, row: int, *, opened: bool, fixed: bool) -> None:
        """Applied with the newest row, or with one that the process has not heard of being replaced."""
        self.seq += 1
        self.openings += opened
        in_use = bolt is not Bolt.CLOSED or (opened and self.counts and self.state is not None)
        if in_use:
            self.used.add(self.rows[-1].public_id)
            if self.state is not None and self.state.entry is not None:
                self.used.add(self.state.entry.public_id)
        said = structs.replace(
            locked(self.seq, bolt, self.openings if self.counts else 0),
            fix=Fix(self.seq * 100, 0, 3.0) if fixed else None,
        )
        self.state = fold(self.state, self.rows[-min(row, len(self.rows))], BIKE, [stamped(said)])

    def silence(self) -> None:
        silent = self.state and hear_nothing(self.state, BIKE, self.state.heard_at_ms + 700_000)
        self.state = silent.after if silent else self.state

    def give_id(self) -> None:
        """As the store does it: another row where the newest is not above the number of the last use."""
        state = self.state
        if state is None or not waits_for_its_id(state):
            return
        if self.rows[-1].public_id_no <= state.used_no:
            number = self.rows[-1].public_id_no + 1
            self.rows.append(structs.replace(BEFORE, public_id=f"id-{number}", public_id_no=number))
        anew = shown_anew(state, self.rows[-1])
        assert anew is not None
        self.state = anew.after


Taken = tuple[str, Bolt, int, bool, bool]
"""What happens, and of a report: the bolt, how old the row is, whether the bolt opened before, whether it has a fix."""

taken = st.tuples(
    st.sampled_from(("report", "report", "report", "silence", "id")),
    st.sampled_from(Bolt),
    st.sampled_from((1, 1, 1, 2, 3)),
    st.booleans(),
    st.booleans(),
)


@given(steps=st.lists(taken, max_size=30), counts=st.booleans())
def test_no_sequence_shows_a_bike_under_an_id_it_was_used_under(steps: list[Taken], counts: bool) -> None:
    town = Town(counts)
    for what, bolt, row, opened, fixed in steps:
        if what == "report":
            town.report(bolt, row, opened=opened, fixed=fixed)
        elif what == "silence":
            town.silence()
        else:
            town.give_id()
        state = town.state
        if state is not None and state.entry is not None and state.entry.available:
            assert state.entry.public_id not in town.used


def test_what_was_admitted_before_the_new_id_was_shown_uses_that_one_up() -> None:
    """The report waits for its batch with the old row, and meanwhile riders see the bike under its new id."""
    back = after(locked(1, Bolt.OPEN), locked(2, Bolt.CLOSED))
    anew = shown_anew(back, AFTER)
    assert anew is not None
    opened = fold(anew.after, BEFORE, BIKE, [stamped(locked(3, Bolt.OPEN))])
    closed = fold(opened, AFTER, BIKE, [stamped(locked(4, Bolt.CLOSED))])
    assert closed is not None
    assert codes(closed) == {Reason.RETURNED}
    # And so for both in one batch, with the old row.
    both = fold(anew.after, BEFORE, BIKE, [stamped(locked(3, Bolt.OPEN)), stamped(locked(4, Bolt.CLOSED))])
    assert both is not None
    assert codes(both) == {Reason.RETURNED}
    assert shown_anew(both, AFTER) is None


def test_where_nothing_counts_a_bike_that_stands_elsewhere_was_used() -> None:
    """It was out of reach for its whole ride, or has no bolt at all."""
    here, near, far = (
        structs.replace(bike_report(seq, lat_e7=metres * 90), lock=Lock(Bolt.CLOSED))
        for seq, metres in ((1, 0), (2, 60), (3, 400))
    )
    assert codes(after(here, near)) == set()
    assert codes(after(here, near, far)) == {Reason.RETURNED}
    bare = [structs.replace(report, lock=None) for report in (here, far)]
    assert codes(after(*bare)) == {Reason.RETURNED}
    counted = [structs.replace(report, lock=Lock(Bolt.CLOSED, 0, 7)) for report in (here, far)]
    assert codes(after(*counted)) == set()


def test_a_fix_that_may_be_wrong_by_as_much_as_it_lies_apart_is_no_ride() -> None:
    here, apart = (
        structs.replace(bike_report(seq, lat_e7=metres * 90), lock=None) for seq, metres in ((1, 0), (2, 400))
    )
    assert apart.fix is not None
    bad, good = (
        structs.replace(apart, fix=structs.replace(apart.fix, accuracy_m=accuracy_m))
        for accuracy_m in (350.0, 250.0)
    )
    assert codes(after(here, bad)) == set()
    assert codes(after(here, good)) == {Reason.RETURNED}


@given(
    lat_deg=st.floats(-80, 80),
    lon_deg=st.floats(-180, 180),
    metres=st.floats(0, 1_000),
    bearing=st.sampled_from(("north", "south", "east", "west")),
    accuracy_m=st.sampled_from((3.0, 20.0)),
)
def test_a_hundred_metres_are_as_long_everywhere_on_earth(
    lat_deg: float, lon_deg: float, metres: float, bearing: str, accuracy_m: float
) -> None:
    degrees = metres / 111_195
    north = {"north": degrees, "south": -degrees}.get(bearing, 0.0)
    east = {"east": degrees, "west": -degrees}.get(bearing, 0.0) / cos(radians(lat_deg))
    there = from_degrees(lat_deg + north, (lon_deg + east + 180) % 360 - 180)
    here, moved = (
        structs.replace(bike_report(seq), lock=None, fix=Fix(*point, accuracy_m))
        for seq, point in ((1, from_degrees(lat_deg, lon_deg)), (2, there))
    )
    reach_m = CARRIED_M + accuracy_m
    if not 0.99 * reach_m < metres < 1.01 * reach_m:
        assert codes(after(here, moved)) == ({Reason.RETURNED} if metres > reach_m else set())


def test_one_that_was_lost_and_counts_nothing_may_have_been_anywhere() -> None:
    lost = hear_nothing(after(bike_report(1)), BIKE, BOOT_MS + 3_600_000)
    assert lost is not None
    back = fold(lost.after, BEFORE, BIKE, [stamped(bike_report(9), received_ms=BOOT_MS + 3_700_000)])
    assert back is not None
    assert Reason.RETURNED in codes(back)


def test_a_report_without_its_bolt_is_no_opening() -> None:
    counted = locked(1, Bolt.CLOSED, 7)
    bare = structs.replace(bike_report(2), lock=None)
    assert codes(after(counted, bare, locked(3, Bolt.CLOSED, 7))) == set()


def test_a_state_of_before_uses_were_noted_makes_no_fleet_vanish_and_forgets_no_use() -> None:
    def of_before(state: LiveState) -> LiveState:
        """As another version wrote it: without what stands behind the entry."""
        return msgpack.decode(msgpack.encode(msgpack.decode(msgpack.encode(state))[:10]), type=LiveState)

    idle = of_before(after(locked(1, Bolt.CLOSED, 41)))
    assert (idle.openings, idle.id_no, idle.used_no) == (UNKNOWN, 0, 0)
    still = fold(idle, BEFORE, BIKE, [stamped(locked(2, Bolt.CLOSED, 41))])
    assert still is not None
    assert codes(still) == set()
    ridden = of_before(after(locked(1, Bolt.CLOSED, 41), locked(2, Bolt.OPEN, 42)))
    back = fold(ridden, BEFORE, BIKE, [stamped(locked(3, Bolt.CLOSED, 42))])
    assert back is not None
    assert codes(back) == {Reason.RETURNED}


def test_a_report_that_repeats_the_newest_changes_nothing() -> None:
    back = after(locked(1, Bolt.OPEN), locked(2, Bolt.CLOSED))
    again = apply_report(back, AFTER, BIKE, stamped(locked(2, Bolt.CLOSED)))
    assert again is REPEATED
