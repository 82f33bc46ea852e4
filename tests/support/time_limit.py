"""The time limit of an async test, kept by its event loop.

pytest-timeout raises in whatever the main thread does just then. That is mostly uvloop's callback for signals, which
reports the exception and goes on waiting: a test that hangs would hang the run.
"""

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest

PATIENCE_S = 60.0
"""Between the limit of a test and the signal, which must not come while the loop itself ends the test."""

Test = Callable[..., Awaitable[None]]


def end_in_time(items: Iterable[pytest.Item]) -> None:
    """Every async test, and every example of an async property, ends within the limit that pytest-timeout has."""
    for item in items:
        if not isinstance(item, pytest.Function):
            continue
        limit_s = _limit_s(item)
        # Hypothesis has the test itself inside; those of one parametrized test share it.
        inside = getattr(getattr(item.obj, "hypothesis", None), "inner_test", None)
        if inspect.iscoroutinefunction(inside) or inspect.iscoroutinefunction(item.obj):
            item.add_marker(pytest.mark.timeout(2 * limit_s + PATIENCE_S), append=False)
        if inspect.iscoroutinefunction(inside):
            if not hasattr(inside, "is_bounded"):
                item.obj.hypothesis.inner_test = _bounded(inside, limit_s)
        elif inspect.iscoroutinefunction(item.obj):
            item.obj = _bounded(item.obj, limit_s)


def _limit_s(item: pytest.Function) -> float:
    marker = item.get_closest_marker("timeout")
    if marker is not None and marker.args:
        return float(marker.args[0])
    said = item.config.getoption("timeout")
    return float(item.config.getini("timeout") if said is None else said)


def _bounded(test: Test, limit_s: float) -> Test:
    @functools.wraps(test)
    async def bounded(*args: Any, **kwargs: Any) -> None:
        async with asyncio.timeout(limit_s):
            await test(*args, **kwargs)

    bounded.is_bounded = True  # type: ignore[attr-defined]  # how the next parameter knows
    return bounded
