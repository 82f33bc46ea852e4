"""States wait until it is worth a transaction, and none is forgotten or marked before it is written."""

from firmware_protocol.messages import DeviceId
from gateway.ingest.held_saves import HOLD_MS, MANY, HeldSaves
from gateway.ingest.state_cache import CachedState
from tests.support.fakes.samples import BOOT_MS, state

A = DeviceId("bike-a")


def test_a_state_waits_for_others_and_is_given_until_it_is_written() -> None:
    saves, cached = HeldSaves(), CachedState(1, None)
    saves.hold(cached, state(A, 4), taken_ms=BOOT_MS - 5, now_ms=BOOT_MS)
    assert saves.due(BOOT_MS + HOLD_MS - 1) == []
    due = saves.due(BOOT_MS + HOLD_MS)
    assert [(last.device_no, last.state.revision, last.taken_ms) for last in due] == [(1, 4, BOOT_MS - 5)]
    assert saves.due(BOOT_MS + HOLD_MS) == due
    assert cached.saved_revision == 0
    saves.written(due)
    assert cached.saved_revision == 4
    assert saves.due(BOOT_MS + 2 * HOLD_MS) == []


def test_many_do_not_wait_and_of_one_device_the_newest_counts() -> None:
    saves = HeldSaves()
    for number in range(MANY):
        assert saves.due(BOOT_MS) == []
        saves.hold(CachedState(number, None), state(A, 1), taken_ms=BOOT_MS, now_ms=BOOT_MS)
    saves.hold(CachedState(0, None), state(A, 2), taken_ms=BOOT_MS, now_ms=BOOT_MS)
    due = saves.due(BOOT_MS)
    assert len(due) == MANY
    assert due[0].state.revision == 2
