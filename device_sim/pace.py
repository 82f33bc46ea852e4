"""How fast simulated life runs, and how much oftener devices report than their models say; pure."""

from dataclasses import dataclass

MAX_LIFE_SPEED = 20.0
"""Above it a bike crosses the town between two reports and a map shows leaps instead of rides."""
REPLAY_RATE = 6.0
"""In a replay a ridden bike reports every two seconds, so that it is seen to move."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Both factors of one run."""

    life: float
    """Simulated seconds per second."""
    stretch: float
    """Heartbeats take this many times longer in simulated time."""


def pace_for(natural_rate_per_s: float, wanted_rate_per_s: float | None, speed: float | None) -> Pace:
    """For a wanted number of reports per second (None: as the models say); `speed` fixes how fast life runs.

    Life is sped up as far as it can be looked at; beyond that only the heartbeats come oftener.
    """
    if wanted_rate_per_s is None:
        return Pace(1.0, 1.0) if speed is None else Pace(speed, speed / REPLAY_RATE)
    oftener = wanted_rate_per_s / natural_rate_per_s
    life = speed if speed is not None else min(max(oftener, 1.0), MAX_LIFE_SPEED)
    return Pace(life, life / oftener)
