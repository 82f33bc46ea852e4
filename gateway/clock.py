"""The system's clock, and the only place of the gateway that asks it."""

import time


class SystemClock:
    """Implements `ports.Clock`."""

    def now_ms(self) -> int:
        """Unix milliseconds."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()


def worked_s() -> float:
    """CPU seconds that this thread has used."""
    return time.thread_time()
