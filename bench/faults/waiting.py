"""Waiting for what another process does, with a deadline."""

import time
from collections.abc import Callable

PAUSE_S = 0.02


class NeverCame(Exception):
    """A trial waited in vain."""

    def __init__(self, what: str, within_s: float) -> None:
        super().__init__(f"within {within_s:.0f} s this never came: {what}")


def wait_for(what: str, came: Callable[[], bool], *, within_s: float = 60.0) -> float:
    """Returns the seconds it took. Raises NeverCame."""
    begin_s = time.monotonic()
    while not came():
        if time.monotonic() - begin_s > within_s:
            raise NeverCame(what, within_s)
        time.sleep(PAUSE_S)
    return time.monotonic() - begin_s


def pass_time(until_s: float) -> None:
    """A nemesis is a clock: it acts at times of `time.monotonic`, not on conditions."""
    left_s = until_s - time.monotonic()
    if left_s > 0:
        time.sleep(left_s)
