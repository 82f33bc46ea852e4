"""Row time: a pure function of the report and of its receipt."""

from hypothesis import given
from hypothesis import strategies as st

from firmware_protocol.messages import Report
from gateway.core.report_time import (
    DAY_MS,
    MAX_AFTER_BOOT_MS,
    MAX_AGE_MS,
    MAX_AHEAD_MS,
    MAX_BEFORE_BOOT_MS,
    RowTime,
    row_time,
)

BOOT = 1_790_000_000
BOOT_MS = BOOT * 1000
INT63 = st.integers(-(2**63), 2**63 - 1)


@given(elapsed_ms=st.none() | INT63, reported_at_ms=INT63, first_ms=INT63, second_ms=INT63)
def test_the_same_frame_of_a_full_device_is_always_filed_under_the_same_time(
    elapsed_ms: int | None, reported_at_ms: int, first_ms: int, second_ms: int
) -> None:
    report = Report(boot=BOOT, seq=1, elapsed_ms=elapsed_ms, reported_at_ms=reported_at_ms)
    assert row_time(report, first_ms) == row_time(report, second_ms)


@given(elapsed_ms=st.none() | INT63, reported_at_ms=INT63)
def test_hostile_clocks_stay_near_the_boot_and_are_flagged(
    elapsed_ms: int | None, reported_at_ms: int
) -> None:
    report = Report(boot=BOOT, seq=1, elapsed_ms=elapsed_ms, reported_at_ms=reported_at_ms)
    time = row_time(report, 0)
    said_ms = reported_at_ms if elapsed_ms is None else BOOT_MS + elapsed_ms
    assert BOOT_MS - MAX_BEFORE_BOOT_MS <= time.at_ms <= BOOT_MS + MAX_AFTER_BOOT_MS
    assert time.clock_suspect is (time.at_ms != said_ms)


def test_time_since_boot_goes_before_the_devices_clock() -> None:
    report = Report(boot=BOOT, seq=1, elapsed_ms=-5_000, reported_at_ms=BOOT_MS + DAY_MS)
    assert row_time(report, 0) == RowTime(BOOT_MS - 5_000, False)


def test_a_basic_device_is_believed_from_thirty_days_back_to_ten_minutes_ahead() -> None:
    now_ms = BOOT_MS
    for offset_ms in (-MAX_AGE_MS, 0, MAX_AHEAD_MS):
        at_ms = now_ms + offset_ms
        assert row_time(Report(seq=1, reported_at_ms=at_ms), now_ms) == RowTime(at_ms, False)
    for offset_ms in (-MAX_AGE_MS - 1, MAX_AHEAD_MS + 1, -(2**62), 2**62):
        report = Report(seq=1, reported_at_ms=now_ms + offset_ms)
        assert row_time(report, now_ms) == RowTime(now_ms, True)


def test_without_any_clock_receipt_is_the_time() -> None:
    assert row_time(Report(), BOOT_MS) == RowTime(BOOT_MS, False)
