"""The highest rate of ingest at which nothing is lost and no backlog remains, within a bounded number of trials."""

from bench.load_rig import LoadRig

GROWTH = 1.25
MAX_TRIALS = 6
"""Rates that are tried; each at most twice, so that the search ends within three minutes."""

LONGEST_TRIAL_S = 8.0
"""A backlog that grows is more than a second long by then."""

NEAR_ENOUGH = 1_000.0
"""Reports a second between the best rate and the lowest that failed."""

LATE_TICKS_PER_S = 10
"""A generator that is late more often did not offer the rate."""


def highest_rate(rig: LoadRig, *, known: float, seconds: float) -> float:
    """Reports a second; `known` is a rate that holds. Grows until a rate fails, then halves the gap. One failure
    may be the machine's: a rate has failed when it failed twice."""
    best, failed = known, 0.0
    seconds = min(seconds, LONGEST_TRIAL_S)
    for _ in range(MAX_TRIALS):
        rate = (best + failed) / 2 if failed else best * GROWTH
        if failed and failed - best < NEAR_ENOUGH:
            break
        try:
            holds = _holds(rig, rate, seconds) or _holds(rig, rate, seconds)
        except TimeoutError:
            # The backlog of this trial would spoil the next.
            break
        if holds:
            best = rate
        else:
            failed = rate
    return best


def _holds(rig: LoadRig, rate: float, seconds: float) -> bool:
    """Raises TimeoutError when the gateway does not catch up at all."""
    run = rig.run(rate_per_s=rate, seconds=seconds)
    on_time = run.sent.late_ticks <= seconds * LATE_TICKS_PER_S
    return on_time and run.whole and run.stored_within_s < 1.0
