"""The ring forgets on receipt, counts what it loses, and sends again with growing patience."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_protocol.kept_ring import RESEND_CAP_MS, RESEND_FIRST_MS, KeptRing
from firmware_protocol.limits import KEPT_RING_SIZE
from firmware_protocol.messages import ReportStamp


def stamp(seq: int) -> ReportStamp:
    return ReportStamp(1, seq)


@given(st.lists(st.integers(1, 100) | st.none(), max_size=300))
def test_what_is_kept_is_what_was_kept_minus_receipts_minus_counted_losses(steps: list[int | None]) -> None:
    ring = KeptRing(Random(1))
    kept = receipted = lost = 0
    for receipt in steps:
        if receipt is None:
            kept += 1
            lost += ring.keep(stamp(kept), b"%d" % kept, 0)
        else:
            before = len(ring)
            ring.forget([stamp(receipt)])
            receipted += before - len(ring)
    assert len(ring) == kept - receipted - lost
    assert len(ring) <= KEPT_RING_SIZE


def test_the_oldest_is_lost_and_that_is_counted() -> None:
    ring = KeptRing(Random(1))
    lost = sum(ring.keep(stamp(seq), b"%d" % seq, 0) for seq in range(1, KEPT_RING_SIZE + 3))
    assert lost == 2
    assert next(ring.frames())[0] == stamp(3)


def test_a_frame_is_due_at_once_then_after_half_a_minute_doubling_to_ten() -> None:
    ring = KeptRing(Random(1))
    ring.keep(stamp(1), b"one", 0)
    now_ms, waits = 0, []
    for _ in range(8):
        assert ring.take_due(now_ms) == [b"one"]
        assert ring.take_due(now_ms) == []
        due_ms = ring.next_due_ms()
        assert due_ms is not None
        waits.append(due_ms - now_ms)
        now_ms = due_ms
    assert 0.75 * RESEND_FIRST_MS <= waits[0] <= 1.25 * RESEND_FIRST_MS
    assert waits[3] > waits[0]
    assert all(wait <= 1.25 * RESEND_CAP_MS for wait in waits)


def test_a_welcome_makes_everything_due_oldest_first() -> None:
    ring = KeptRing(Random(1))
    for seq in (1, 2, 3):
        ring.keep(stamp(seq), b"%d" % seq, 0)
    ring.take_due(0)
    ring.forget([stamp(2), stamp(99)])
    assert ring.take_due(1) == []
    ring.all_due(1)
    assert ring.take_due(1) == [b"1", b"3"]


def test_an_empty_ring_wakes_nobody_and_a_small_one_is_refused() -> None:
    assert KeptRing(Random(1)).next_due_ms() is None
    with pytest.raises(ValueError, match="at least 64"):
        KeptRing(Random(1), size=KEPT_RING_SIZE - 1)
