"""Waiting for a condition with a deadline, never for a time."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

DEADLINE_S = 30.0
"""Generous: reached only when something is broken, on a busy machine too."""
FIRST_PAUSE_S = 0.002
LONGEST_PAUSE_S = 0.1


class NeverHappened(AssertionError):
    """The condition was still false at the deadline."""

    def __init__(self, what: str, deadline_s: float, seen: object) -> None:
        super().__init__(f"within {deadline_s:.0f} s this never happened: {what} (last seen: {seen!r})")


def until(predicate: Callable[[], T | None], *, deadline_s: float = DEADLINE_S, what: str = "") -> T:
    """Returns the first true answer of `predicate`. An exception of it is not an answer and ends the wait."""
    end = time.monotonic() + deadline_s
    pause_s = FIRST_PAUSE_S
    while not (seen := predicate()):
        if time.monotonic() > end:
            raise NeverHappened(what or _source(predicate), deadline_s, seen)
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, LONGEST_PAUSE_S)
    return seen


async def until_async(
    predicate: Callable[[], T | Awaitable[T | None] | None], *, deadline_s: float = DEADLINE_S, what: str = ""
) -> T:
    """The same on an event loop; `predicate` may be a coroutine function."""
    end = time.monotonic() + deadline_s
    pause_s = FIRST_PAUSE_S
    while True:
        answer = predicate()
        seen = await answer if inspect.isawaitable(answer) else answer
        if seen:
            return seen
        if time.monotonic() > end:
            raise NeverHappened(what or _source(predicate), deadline_s, seen)
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 1.5, LONGEST_PAUSE_S)


def _source(predicate: Callable[..., object]) -> str:
    try:
        return " ".join(inspect.getsource(predicate).split())
    except (OSError, TypeError):
        return repr(predicate)
