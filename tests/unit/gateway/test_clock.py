"""The system's clock."""

from gateway.clock import SystemClock


def test_time_goes_on() -> None:
    clock = SystemClock()
    first_ms, first_s = clock.now_ms(), clock.monotonic_s()
    assert first_ms > 1_700_000_000_000
    assert clock.now_ms() >= first_ms
    assert clock.monotonic_s() >= first_s
