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


def test_a_dropped_shard_never_comes_up_and_may_be_watched_again() -> None:
    wheel = SilenceWheel(NOW_MS)
    wheel.watch(7, DeviceId("bike-a"), NOW_MS)
    wheel.watch(8, DeviceId("bike-b"), NOW_MS)
    wheel.drop(7)
    assert not wheel.is_watched(7, DeviceId("bike-a"))
    assert wheel.take_due(NOW_MS + 5_000, 10) == [(8, DeviceId("bike-b"))]
    wheel.watch(7, DeviceId("bike-a"), NOW_MS + 6_000)
    assert wheel.is_watched(7, DeviceId("bike-a"))
    assert wheel.take_due(NOW_MS + 8_000, 10) == [(7, DeviceId("bike-a"))]
