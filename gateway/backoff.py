"""How long to wait before the next attempt; pure."""

from collections.abc import Callable

Chance = Callable[[], float]
"""A number from 0 up to 1, as `random.Random.random` gives it."""

MAX_DOUBLINGS = 30
"""Beyond that every sensible first delay has passed every sensible cap, and floats stay finite."""


def next_delay_s(attempt: int, chance: Chance, *, first_s: float, cap_s: float) -> float:
    """Seconds before attempt number `attempt` (0 is the first repetition): doubling up to the cap, of which
    the upper half is chance, so that many peers that failed together do not return together."""
    full_s = min(cap_s, first_s * 2.0 ** min(attempt, MAX_DOUBLINGS))
    return full_s * (0.5 + 0.5 * chance())
