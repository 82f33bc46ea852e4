"""Virtual time: one heap of events, one step per event, and a hash of everything that happened."""

import heapq
from collections.abc import Callable, Coroutine, Generator
from hashlib import sha256
from itertools import count
from random import Random
from typing import Any

EPOCH_MS = 1_790_000_000_000


class Scheduler:
    """Same seed, same events, same hash."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.now_ms = 0
        """Since the start; true time is EPOCH_MS more."""
        self.steps = 0
        self._events: list[tuple[int, int, str, Callable[[], None]]] = []
        self._numbers = count()
        self._trace = sha256()

    @property
    def true_ms(self) -> int:
        """Unix milliseconds, as only the simulation knows them."""
        return EPOCH_MS + self.now_ms

    def after(self, delay_ms: float, what: str, act: Callable[[], None]) -> None:
        """Acts once, so much later; events of the same time in the order they were asked for."""
        at_ms = self.now_ms + max(0, int(delay_ms))
        heapq.heappush(self._events, (at_ms, next(self._numbers), what, act))

    def note(self, what: str) -> None:
        """Something for the trace."""
        self._trace.update(f"{self.now_ms} {what}\n".encode())

    def trace_hash(self) -> str:
        return self._trace.hexdigest()

    def step(self) -> bool:
        """One event; False when there is none."""
        if not self._events:
            return False
        self.now_ms, _, what, act = heapq.heappop(self._events)
        self.steps += 1
        self.note(what)
        act()
        return True


class Pause:
    """What a coroutine of the simulation awaits: a while of virtual time."""

    def __init__(self, ms: float) -> None:
        self.ms = ms

    def __await__(self) -> Generator["Pause", None, None]:
        yield self


class Clock:
    """Implements `ports.Clock` for one machine, whose clock is so much off."""

    def __init__(self, scheduler: Scheduler, skew_ms: int = 0) -> None:
        self._scheduler = scheduler
        self.skew_ms = skew_ms

    def now_ms(self) -> int:
        return self._scheduler.true_ms + self.skew_ms

    def monotonic_s(self) -> float:
        return self._scheduler.now_ms / 1000


class Process:
    """One process of the gateway or the API: its coroutines stop for good when it is killed, and for a while when
    it is paused, wherever they are."""

    def __init__(self, scheduler: Scheduler, name: str, skew_ms: int) -> None:
        self.scheduler = scheduler
        self.name = name
        self.clock = Clock(scheduler, skew_ms)
        self.alive = True
        self._paused_until_ms = 0

    def pause(self, ms: int) -> None:
        """As SIGSTOP does, with SIGCONT so much later."""
        self._paused_until_ms = max(self._paused_until_ms, self.scheduler.now_ms + ms)

    def kill(self) -> None:
        """Nothing of it ever runs again."""
        self.alive = False

    def after(self, delay_ms: float, what: str, act: Callable[[], None]) -> None:
        """Acts unless dead by then; not before a pause has ended."""

        def due() -> None:
            late_ms = self._paused_until_ms - self.scheduler.now_ms
            if self.alive and late_ms > 0:
                self.after(late_ms, what, act)
            elif self.alive:
                act()

        self.scheduler.after(delay_ms, f"{self.name} {what}", due)

    def run(self, what: str, work: Coroutine[Any, Any, None]) -> None:
        """Drives the coroutine to its first pause now, and on from there when its time comes."""
        try:
            pause = work.send(None)
        except StopIteration:
            return
        assert isinstance(pause, Pause), "a flow awaited something that is not a port"
        self.after(pause.ms, what, lambda: self.run(what, work))
