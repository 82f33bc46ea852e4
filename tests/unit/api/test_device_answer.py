"""A live state in the words of the API: every reason with a name and an age."""

from api.device_answer import bolt_name, device_answer
from firmware_protocol.codec import Encoding, encode_report
from firmware_protocol.messages import Alarm, Bolt, Fix, Lock, Report, Slot
from gateway.core.live_state import LiveState, Presence, Reason
from tests.unit.api.surface import NOW_MS, known

REPORT = Report(
    boot=7,
    seq=3,
    elapsed_ms=10,
    fix=Fix(lat_e7=312_304_000, lon_e7=1_214_737_000, accuracy_m=8.5, age_ms=2_000),
    lock=Lock(bolt=Bolt.CLOSED, openings=12),
    slots=(Slot(number=1, unit_id="bank-1", bolt=Bolt.BETWEEN, charge_pct=90),),
    battery_pct=11,
    alarms=(Alarm.FELL,),
)


def _state(report: Report, *, reasons: tuple[tuple[int, int], ...] = ()) -> LiveState:
    frame = encode_report(report, encoding=Encoding.CBOR)
    return LiveState(5, 7, 3, NOW_MS - 5_000, NOW_MS - 4_000, Presence.QUIET, frame, reasons, (), None)


def test_the_newest_report_is_told_with_the_time_of_its_fix() -> None:
    answer = device_answer(known("bike-1"), _state(REPORT), now_ms=NOW_MS, stale=False)
    assert answer.position is not None
    assert answer.position.fixed_at is not None
    assert answer.at is not None
    assert (answer.at - answer.position.fixed_at).total_seconds() == 2
    assert answer.lock is not None
    assert (answer.presence, answer.battery_pct, answer.lock.bolt, answer.alarms) == (
        "quiet",
        11,
        "closed",
        ["fell"],
    )
    assert (answer.slots[0].unit_id, answer.slots[0].bolt) == ("bank-1", "between")
    assert answer.stamp is not None
    assert (answer.stamp.boot, answer.stamp.seq, answer.revision) == (7, 3, 5)


def test_each_reason_has_a_name_a_since_and_an_age() -> None:
    state = _state(REPORT, reasons=((int(Reason.LOW_BATTERY), NOW_MS - 60_000),))
    answer = device_answer(known("bike-1"), state, now_ms=NOW_MS, stale=True)
    assert not answer.availability.available
    (reason,) = answer.availability.reasons
    assert (reason.reason, reason.age_s) == ("low_battery", 60.0)
    assert answer.stale


def test_a_device_that_was_never_heard_says_so() -> None:
    answer = device_answer(known("bike-1"), None, now_ms=NOW_MS, stale=False)
    assert [reason.reason for reason in answer.availability.reasons] == ["never_heard"]
    assert (answer.revision, answer.stamp, answer.at, answer.position) == (0, None, None, None)


def test_a_device_without_a_fix_stands_where_the_registry_says() -> None:
    answer = device_answer(known("c", home=(10_000_000, 20_000_000)), None, now_ms=NOW_MS, stale=False)
    assert answer.position is not None
    assert (answer.position.lat, answer.position.lon, answer.position.accuracy_m) == (1.0, 2.0, None)


def test_every_bolt_has_a_name() -> None:
    assert {bolt_name(bolt) for bolt in Bolt} == {"open", "closed", "between"}
