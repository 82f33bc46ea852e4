"""Every reason a device is not rentable, and since when."""

import pytest
from msgspec import structs

from firmware_protocol.messages import Alarm, Bolt, DeviceId, Fix, Lock, Report
from gateway.core.availability import Reasons, reported_reasons, with_silence, with_since
from gateway.core.device import DeviceModel, DeviceRecord, Status
from gateway.core.live_state import Claim, Presence, Reason
from gateway.core.stamped import StampedReport
from tests.support.fakes.samples import BIKE, CABINET, LOCKER

DEVICE = DeviceRecord(1, DeviceId("d"), 1, "bike", Status.ACTIVE, "p", 123_456_789)
WELL = Report(fix=Fix(0, 0), lock=Lock(Bolt.CLOSED), battery_pct=80)
CLAIM = Claim("c", 0, 0)


def reasons_of(
    report: Report,
    *,
    model: DeviceModel = BIKE,
    device: DeviceRecord = DEVICE,
    units: int = 0,
    claims: tuple[Claim, ...] = (),
) -> list[int]:
    stamped = StampedReport(report, 0, 1, 0, False, 0, units, 0, b"")
    return reported_reasons(device, model, stamped, claims)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fix": None}, Reason.NO_POSITION),
        ({"battery_pct": 14}, Reason.LOW_BATTERY),
        ({"faults": ("motor_stall",)}, Reason.FAULT),
        ({"alarms": (Alarm.FELL,)}, Reason.ALARM),
        ({"lock": Lock(Bolt.OPEN)}, Reason.BOLT_NOT_CLOSED),
        ({"lock": Lock(Bolt.BETWEEN)}, Reason.BOLT_NOT_CLOSED),
        ({"moving": True}, Reason.IN_MOTION),
    ],
)
def test_each_sign_against_a_bike_has_its_reason(changes: dict[str, object], reason: Reason) -> None:
    assert reasons_of(WELL) == []
    assert reasons_of(structs.replace(WELL, **changes)) == [reason]


def test_what_a_bike_does_not_say_is_not_held_against_it() -> None:
    assert reasons_of(Report(fix=Fix(0, 0))) == []
    assert reasons_of(structs.replace(WELL, battery_pct=15, alarms=(Alarm.LOW_BATTERY,))) == []


def test_a_home_stands_in_for_a_fix() -> None:
    at_home = structs.replace(DEVICE, home_lat_e7=1, home_lon_e7=2)
    assert reasons_of(structs.replace(WELL, fix=None), device=at_home) == []


def test_a_suspended_device_is_not_rentable() -> None:
    assert reasons_of(WELL, device=structs.replace(DEVICE, status=Status.SUSPENDED)) == [Reason.SUSPENDED]


def test_cabinets_and_lockers_need_a_unit_that_is_not_claimed() -> None:
    for model in (CABINET, LOCKER):
        assert reasons_of(WELL, model=model, units=1) == []
        assert reasons_of(WELL, model=model) == [Reason.NO_UNITS]
        assert reasons_of(WELL, model=model, units=1, claims=(CLAIM,)) == [Reason.CLAIMED]
        assert reasons_of(WELL, model=model, units=2, claims=(CLAIM,)) == []
    assert reasons_of(WELL, claims=(CLAIM,)) == [Reason.CLAIMED]


def test_the_limit_of_a_cabinet_is_for_its_banks() -> None:
    low = structs.replace(WELL, battery_pct=1)
    assert reasons_of(low, model=CABINET, units=1) == []
    assert reasons_of(low, model=LOCKER, units=1) == [Reason.LOW_BATTERY]


def test_a_reason_keeps_its_age_while_it_stands() -> None:
    first = with_since([Reason.FAULT], (), 100)
    assert first == ((Reason.FAULT, 100),)
    second = with_since([Reason.LOW_BATTERY, Reason.FAULT], first, 200)
    assert second == ((Reason.LOW_BATTERY, 200), (Reason.FAULT, 100))
    assert with_since([], second, 300) == ()
    assert with_since([Reason.FAULT], (), 400) == ((Reason.FAULT, 400),)


def test_silence_is_a_reason_of_its_own_dated_by_when_it_was_last_heard() -> None:
    spoken: Reasons = ((Reason.FAULT, 100),)
    quiet = with_silence(spoken, Presence.QUIET, 1_000, BIKE)
    assert quiet == ((Reason.QUIET, 151_000), (Reason.FAULT, 100))
    assert with_silence(quiet, Presence.LOST, 1_000, BIKE) == ((Reason.LOST, 601_000), (Reason.FAULT, 100))
    assert with_silence(quiet, Presence.ONLINE, 1_000, BIKE) == spoken
