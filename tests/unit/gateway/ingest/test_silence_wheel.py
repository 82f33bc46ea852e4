"""Everybody watched comes up once, after their time and not much later."""

from hypothesis import given
from hypothesis import strategies as st

from firmware_protocol.messages import DeviceId
from gateway.ingest.silence_wheel import TICK_MS, SilenceWheel

NOW_MS = 1_790_000_000_000


@given(
    due_s=st.lists(st.integers(-100, 100), max_size=40),
    steps_s=st.lists(st.integers(0, 30), min_size=10, max_size=40),
    limit=st.integers(1, 10),
)
def test_nobody_is_looked_at_early_twice_or_never(due_s: list[int], steps_s: list[int], limit: int) -> None:
    wheel = SilenceWheel(NOW_MS)
    due_ms = {DeviceId(f"bike-{n}"): NOW_MS + one * 1000 for n, one in enumerate(due_s)}
    for device_id, when_ms in due_ms.items():
        wheel.watch(7, device_id, when_ms)
        wheel.watch(7, device_id, when_ms + 5_000)
    assert len(wheel) == len(due_ms)
    seen: list[DeviceId] = []
    now_ms = NOW_MS
    for step_s in steps_s:
        now_ms += step_s * 1000
        while due := wheel.take_due(now_ms, limit):
            assert len(due) <= limit
            assert all(due_ms[device_id] < now_ms for _, device_id in due)
            seen += [device_id for _, device_id in due]
        waiting = [d for d, when_ms in due_ms.items() if d not in seen]
        assert all(due_ms[device_id] > now_ms - 2 * TICK_MS for device_id in waiting)
    assert len(seen) == len(set(seen))
    assert len(wheel) == len(due_ms) - len(seen)


def test_a_dropped_shard_never_comes_up_and_is_watched_again_once_it_is_ours() -> None:
    wheel = SilenceWheel(NOW_MS)
    wheel.watch(7, DeviceId("bike-a"), NOW_MS)
    wheel.watch(8, DeviceId("bike-b"), NOW_MS)
    wheel.drop(7)
    assert not wheel.is_watched(7, DeviceId("bike-a"))
    assert wheel.take_due(NOW_MS + 5_000, 10) == [(8, DeviceId("bike-b"))]
    wheel.watch(7, DeviceId("bike-a"), NOW_MS + 6_000)
    assert not wheel.is_watched(7, DeviceId("bike-a"))
    wheel.regain(7)
    wheel.watch(7, DeviceId("bike-a"), NOW_MS + 6_000)
    assert wheel.is_watched(7, DeviceId("bike-a"))
    assert wheel.take_due(NOW_MS + 8_000, 10) == [(7, DeviceId("bike-a"))]


@given(
    due_s=st.lists(st.integers(1, 100), min_size=1, max_size=20),
    before_s=st.integers(0, 50),
    back_s=st.integers(2, 100_000_000),
)
def test_a_clock_that_steps_back_keeps_nobody_waiting_longer(
    due_s: list[int], before_s: int, back_s: int
) -> None:
    wheel = SilenceWheel(NOW_MS)
    waiting = {DeviceId(f"bike-{n}"): one for n, one in enumerate(due_s)}
    for device_id, one in waiting.items():
        wheel.watch(7, device_id, NOW_MS + one * 1000)
    for passed_s in range(110):
        now_ms = NOW_MS + passed_s * 1000 - (back_s * 1000 if passed_s > before_s else 0)
        for _, device_id in wheel.take_due(now_ms, 100):
            due = waiting.pop(device_id)
            assert due - 2 <= passed_s <= due + 2
        assert all(due + 2 > passed_s for due in waiting.values())
    assert not waiting


def test_whoever_is_first_watched_after_a_step_back_comes_up_in_time() -> None:
    wheel = SilenceWheel(NOW_MS)
    wheel.take_due(NOW_MS, 10)
    earlier_ms = NOW_MS - 3_600_000
    wheel.watch(7, DeviceId("bike-a"), earlier_ms + 150_000)
    assert wheel.take_due(earlier_ms + 160_000, 10) == [(7, DeviceId("bike-a"))]


def test_a_step_ahead_of_fifty_years_is_one_step() -> None:
    """A machine without a battery for its clock starts in 1970; second by second this would take half an hour."""
    wheel = SilenceWheel(0)
    wheel.watch(7, DeviceId("bike-a"), 150_000)
    assert wheel.take_due(NOW_MS, 10) == [(7, DeviceId("bike-a"))]
    assert wheel.take_due(NOW_MS, 10) == []
    wheel.watch(7, DeviceId("bike-a"), NOW_MS + 5_000)
    assert wheel.take_due(NOW_MS + 4_000, 10) == []
    assert wheel.take_due(NOW_MS + 6_000, 10) == [(7, DeviceId("bike-a"))]


def test_a_lane_that_comes_and_goes_is_looked_at_once_per_device() -> None:
    wheel, device_id, now_ms = SilenceWheel(NOW_MS), DeviceId("bike-a"), NOW_MS
    for _ in range(20):
        now_ms += 10_000
        wheel.watch(7, device_id, now_ms + 150_000)
        wheel.drop(7)
        wheel.regain(7)
    wheel.watch(7, device_id, now_ms + 150_000)
    looks = 0
    for passed_s in range(1, 1_501):
        # Heard all the time: always found too early, and put back.
        for shard, found in wheel.take_due(now_ms + passed_s * 1000, 100):
            looks += 1
            wheel.watch(shard, found, now_ms + passed_s * 1000 + 150_000)
    assert 0 < looks <= 10
