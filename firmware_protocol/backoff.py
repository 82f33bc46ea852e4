"""Delays that double and scatter, so that a fleet never returns all at once."""

from typing import Protocol

JITTER = 0.25
"""Each delay is scattered by up to this part of itself, both ways."""


class Chance(Protocol):
    """The only source of chance; `random.Random` is one."""

    def random(self) -> float:
        """Evenly from 0.0 up to, never reaching, 1.0."""

    def getrandbits(self, count: int, /) -> int:
        """That many random bits."""


class Backoff:
    """The delays of one thing that is tried again and again."""

    __slots__ = ("_cap_ms", "_chance", "_first_ms", "_next_ms")

    def __init__(self, chance: Chance, *, first_ms: int, cap_ms: int) -> None:
        self._chance = chance
        self._first_ms = first_ms
        self._cap_ms = cap_ms
        self._next_ms = first_ms

    def next_delay_ms(self) -> int:
        """First `first_ms`, then doubling to `cap_ms`, each scattered by a quarter of itself."""
        middle_ms = self._next_ms
        self._next_ms = min(self._cap_ms, middle_ms * 2)
        return int(middle_ms * (1 - JITTER + 2 * JITTER * self._chance.random()))

    def reset(self) -> None:
        """The next delay is a first one again."""
        self._next_ms = self._first_ms
