"""A clock that stands until it is moved."""


class FakeClock:
    """Implements `ports.Clock`."""

    def __init__(self, now_ms: int = 1_790_000_000_000) -> None:
        self._start_ms = now_ms
        self._now_ms = now_ms

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic_s(self) -> float:
        return (self._now_ms - self._start_ms) / 1000

    def advance(self, *, ms: int) -> None:
        """Moves time on."""
        assert ms >= 0
        self._now_ms += ms

    def set_back(self, *, ms: int) -> None:
        """As a machine's wall clock is; the other one never goes back."""
        assert ms >= 0
        self._now_ms -= ms
        self._start_ms -= ms
