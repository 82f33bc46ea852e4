"""A report changes what is believed; its order of arrival does not."""

import random

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from firmware_protocol.messages import Bolt, DeviceId, Fix, Lock, Report, Slot
from gateway.core.advance import LATE, REPEATED, Advanced, apply_report, fold
from gateway.core.device import DeviceModel, DeviceRecord, Status
from gateway.core.live_state import LiveState, Presence, Reason
from gateway.core.report_time import row_time
from gateway.core.slots import count_slots
from gateway.core.stamped import StampedReport
from tests.support.fakes.samples import BIKE, BOOT, BOOT_MS, CABINET, bike_report, cabinet_report

DEVICE = DeviceRecord(1, DeviceId("d"), 1, "bike", Status.ACTIVE, "p", 123_456_789)


def stamped(report: Report, *, received_ms: int | None = None, model: DeviceModel = BIKE) -> StampedReport:
    time = row_time(report, 0)
    counts = count_slots(model, report.slots)
    return StampedReport(
        report=report,
        boot=report.boot,
        seq=report.seq or 0,
        at_ms=time.at_ms,
        clock_suspect=time.clock_suspect,
        received_ms=time.at_ms if received_ms is None else received_ms,
        units=counts.units,
        spaces=counts.spaces,
        frame=repr(report).encode(),
    )


def advanced(
    state: LiveState | None, report: Report, *, model: DeviceModel = BIKE, received_ms: int | None = None
) -> Advanced:
    outcome = apply_report(state, DEVICE, model, stamped(report, received_ms=received_ms, model=model))
    assert isinstance(outcome, Advanced)
    assert outcome.before is state
    return outcome


reports = st.builds(
    lambda boot, seq, battery_pct, lat_e7, has_fix, bolt: Report(
        boot=BOOT + boot,
        seq=seq,
        elapsed_ms=seq * 1000,
        fix=Fix(lat_e7, 0) if has_fix else None,
        lock=Lock(bolt),
        battery_pct=battery_pct,
    ),
    boot=st.integers(0, 2),
    seq=st.integers(0, 6),
    battery_pct=st.integers(0, 100),
    lat_e7=st.integers(-900_000_000, 900_000_000),
    has_fix=st.booleans(),
    bolt=st.sampled_from(Bolt),
)


def reported(state: LiveState | None) -> object:
    """What order must not change: everything the newest report said, not when it or its forerunners came."""
    if state is None:
        return None
    spoken = {code for code, _ in state.reasons} - {Reason.QUIET, Reason.LOST, Reason.RETURNED}
    return state.boot, state.seq, state.at_ms, state.frame, spoken


@given(
    sent=st.lists(reports, max_size=12, unique_by=lambda report: (report.boot, report.seq)),
    copies=st.lists(st.integers(0, 11), max_size=20),
    delays_ms=st.lists(st.integers(0, 10**9), min_size=32, max_size=32),
    seed=st.integers(0, 2**32),
)
def test_order_repetition_and_delay_do_not_change_the_reported_state(
    sent: list[Report], copies: list[int], delays_ms: list[int], seed: int
) -> None:
    heard = sent + [sent[index] for index in copies if index < len(sent)]
    random.Random(seed).shuffle(heard)
    in_order = fold(None, DEVICE, BIKE, map(stamped, sorted(sent, key=lambda one: (one.boot, one.seq or 0))))
    received = [
        stamped(report, received_ms=row_time(report, 0).at_ms + delay_ms)
        for report, delay_ms in zip(heard, delays_ms, strict=False)
    ]
    assert reported(fold(None, DEVICE, BIKE, received)) == reported(in_order)


@given(st.lists(reports, max_size=12))
def test_what_is_announced_is_what_the_states_entry_says(sent: list[Report]) -> None:
    state: LiveState | None = None
    shown = None
    for report in sent:
        match apply_report(state, DEVICE, BIKE, stamped(report)):
            case Advanced(after=after, announce=announce):
                assert announce is (after.entry is not shown)
                assert after.revision == (0 if state is None else state.revision) + 1
                state, shown = after, after.entry
    assert (None if state is None else state.entry) is shown


def test_the_newest_stamp_wins() -> None:
    state = advanced(None, bike_report(5)).after
    assert apply_report(state, DEVICE, BIKE, stamped(bike_report(5))) is REPEATED
    assert apply_report(state, DEVICE, BIKE, stamped(bike_report(4))) is LATE
    assert apply_report(state, DEVICE, BIKE, stamped(bike_report(9, boot=BOOT - 1))) is LATE
    assert advanced(state, bike_report(6)).after.seq == 6
    assert advanced(state, bike_report(1, boot=BOOT + 1)).after.boot == BOOT + 1


def test_a_first_report_shows_the_device() -> None:
    step = advanced(None, bike_report(1))
    assert step.announce
    assert step.after.revision == 1
    entry = step.after.entry
    assert entry is not None
    assert (entry.available, entry.reasons, entry.units, entry.at_ms) == (True, (), 1, BOOT_MS + 1_000)


def test_noise_is_not_announced_but_does_not_creep_either() -> None:
    state = advanced(None, bike_report(1, lat_e7=0)).after
    first = state.entry
    quiet = advanced(state, bike_report(2, lat_e7=300))
    assert not quiet.announce
    assert quiet.after.entry is first
    crept = advanced(quiet.after, bike_report(3, lat_e7=600))
    assert crept.announce
    assert crept.after.entry is not None
    assert crept.after.entry.lat_e7 == 600


def test_a_reason_that_comes_or_goes_is_announced() -> None:
    state = advanced(None, bike_report(1)).after
    low = advanced(state, bike_report(2, battery_pct=5))
    assert low.announce
    assert low.after.entry is not None
    assert low.after.entry.reasons == ((Reason.LOW_BATTERY, BOOT_MS + 2_000),)
    assert (low.after.entry.available, low.after.entry.units) == (False, 0)
    lower = advanced(low.after, bike_report(3, battery_pct=4))
    assert not lower.announce
    assert lower.after.reasons == low.after.reasons
    assert advanced(lower.after, bike_report(4)).after.reasons == ()


def test_without_a_position_a_device_leaves_the_map() -> None:
    state = advanced(None, bike_report(1)).after
    gone = advanced(state, structs.replace(bike_report(2), fix=None))
    assert gone.announce
    assert gone.after.entry is None
    assert gone.after.reasons == ((Reason.NO_POSITION, BOOT_MS + 2_000),)


def test_a_cabinets_counts_are_shown() -> None:
    state = advanced(None, cabinet_report(1, {1: "a", 2: "b"}), model=CABINET).after
    assert state.entry is not None
    assert (state.entry.units, state.entry.spaces) == (2, 2)
    taken = advanced(state, cabinet_report(2, {1: "a"}), model=CABINET)
    assert taken.announce
    empty = advanced(taken.after, structs.replace(cabinet_report(3, {}), slots=(Slot(1),)), model=CABINET)
    assert empty.after.reasons == ((Reason.NO_UNITS, BOOT_MS + 3_000),)


def test_a_drained_backlog_makes_nobody_online() -> None:
    hour_ms = 3_600_000
    lost = advanced(None, bike_report(1), received_ms=BOOT_MS + hour_ms)
    assert lost.after.presence is Presence.LOST
    assert lost.after.entry is None
    quiet = advanced(None, bike_report(1), received_ms=BOOT_MS + 200_000)
    assert quiet.after.presence is Presence.QUIET
    assert quiet.after.reasons == ((Reason.QUIET, BOOT_MS + 151_000),)
    back = advanced(quiet.after, bike_report(200), received_ms=BOOT_MS + 200_000)
    assert back.after.presence is Presence.ONLINE
    assert back.after.reasons == ()


def test_the_time_a_device_was_heard_never_goes_back() -> None:
    """Its clock was set back: the stamp is the newest, the time on it is of long ago."""
    state = advanced(None, bike_report(1_000)).after
    set_back = structs.replace(bike_report(1_001), elapsed_ms=1_000)
    after = advanced(state, set_back, received_ms=BOOT_MS + 1_001_000).after
    assert (after.seq, after.at_ms) == (1_001, BOOT_MS + 1_000)
    assert after.heard_at_ms == BOOT_MS + 1_000_000
    assert after.presence is Presence.ONLINE
    assert after.reasons == ()
    assert after.entry is not None


def test_a_changed_registry_record_is_shown_with_the_next_report() -> None:
    state = advanced(None, bike_report(1)).after
    rotated = structs.replace(DEVICE, public_id="other")
    outcome = apply_report(state, rotated, BIKE, stamped(bike_report(2)))
    assert isinstance(outcome, Advanced)
    assert outcome.announce
    assert outcome.after.entry is not None
    assert outcome.after.entry.public_id == "other"
