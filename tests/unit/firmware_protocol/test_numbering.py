"""Stamps are unique and in the order of making; time is counted from the hello."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_protocol.messages import Report, ReportStamp, Welcome
from firmware_protocol.numbering import FRESH_HELLO_AFTER_MS, Numbering, stamp_of

BOOT = 1_790_000_000


def welcomed(greeted_ms: int = 1000, answered_after_boot_ms: int = 0) -> Numbering:
    numbering = Numbering(Random(1), hold_at_most=64)
    power_on_id = numbering.greet(greeted_ms)
    assert numbering.welcome(Welcome(power_on_id, BOOT, BOOT * 1000 + answered_after_boot_ms))
    return numbering


def test_a_welcome_for_another_power_on_is_ignored() -> None:
    numbering = Numbering(Random(1), hold_at_most=64)
    assert not numbering.welcome(Welcome(numbering.greet(0) ^ 1, BOOT, BOOT * 1000))
    assert numbering.boot == 0
    with pytest.raises(ValueError, match="no boot number"):
        numbering.stamp(Report(), 0, 0)


def test_time_is_counted_from_when_the_hello_was_sent() -> None:
    numbering = welcomed(greeted_ms=1000)
    assert numbering.stamp(Report(), 5000, 0).elapsed_ms == 4000
    assert numbering.stamp(Report(), 400, 0).elapsed_ms == -600


def test_a_hello_answered_before_only_its_answer_lost_still_gives_the_right_time() -> None:
    # The boot number was given two hours ago, to an earlier hello of the same power-on.
    numbering = welcomed(greeted_ms=9_000_000, answered_after_boot_ms=7_200_000)
    assert numbering.stamp(Report(), 9_000_000, 0).elapsed_ms == 7_200_000


def test_the_same_welcome_again_changes_nothing_and_a_lower_one_is_ignored() -> None:
    numbering = welcomed()
    first = numbering.stamp(Report(), 2000, 0)
    again = Welcome(numbering.greet(50_000), BOOT, BOOT * 1000 + 49_000)
    assert numbering.welcome(again)
    assert not numbering.welcome(Welcome(numbering.power_on_id, BOOT - 1, BOOT * 1000))
    second = numbering.stamp(Report(), 2000, 0)
    assert (second.boot, second.seq, second.elapsed_ms) == (BOOT, 2, first.elapsed_ms)


def test_after_seven_days_the_device_says_a_fresh_hello_once() -> None:
    numbering = welcomed(greeted_ms=0)
    old_id = numbering.power_on_id
    assert numbering.stale_at_ms() == FRESH_HELLO_AFTER_MS
    assert numbering.greet(FRESH_HELLO_AFTER_MS - 1) == old_id
    fresh_id = numbering.greet(FRESH_HELLO_AFTER_MS)
    assert fresh_id != old_id
    assert numbering.greet(FRESH_HELLO_AFTER_MS + 5000) == fresh_id
    assert not numbering.welcome(Welcome(old_id, BOOT, BOOT * 1000))
    assert not numbering.welcome(Welcome(fresh_id, BOOT, BOOT * 1000)), "a fresh id must get a higher number"
    assert numbering.welcome(Welcome(fresh_id, BOOT + 604_800, (BOOT + 604_800) * 1000))
    assert stamp_of(numbering.stamp(Report(), FRESH_HELLO_AFTER_MS, 0)) == ReportStamp(BOOT + 604_800, 1)


@given(st.lists(st.booleans(), max_size=120))
def test_held_reports_are_every_kept_one_and_the_newest_other_in_order(keeps: list[bool]) -> None:
    numbering = Numbering(Random(1), hold_at_most=64)
    lost = sum(numbering.hold(Report(keep=keep, kept_lost=at), at) for at, keep in enumerate(keeps))
    held = [report.kept_lost for report in numbering.held()]
    made = [at for at, keep in enumerate(keeps) if keep or at == len(keeps) - 1]
    assert held == made[len(made) - len(held) :]
    assert sum(report.keep for report in numbering.held()) == min(64, sum(keeps))
    assert sum(keeps) - lost == sum(report.keep for report in numbering.held())
    numbering.welcome(Welcome(numbering.greet(1000), BOOT, BOOT * 1000))
    stamped = numbering.stamp_held(lost)
    assert [report.seq for report in stamped] == list(range(1, len(held) + 1))
    assert [report.elapsed_ms for report in stamped] == [at - 1000 for at in held]
    assert list(numbering.held()) == []


def test_a_heartbeat_takes_no_kept_reports_place() -> None:
    numbering = Numbering(Random(1), hold_at_most=64)
    assert sum(numbering.hold(Report(keep=True), at) for at in range(64)) == 0
    assert [numbering.hold(Report(), at) for at in (64, 65)] == [0, 0]
    assert [report.keep for report in numbering.held()] == [True] * 64 + [False]
    assert numbering.hold(Report(keep=True), 66) == 1
    assert [report.keep for report in numbering.held()] == [True] * 64


def test_a_report_without_a_stamp_has_none_to_tell() -> None:
    with pytest.raises(ValueError, match="no stamp"):
        stamp_of(Report())
