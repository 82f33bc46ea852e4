"""Who waits at a lock is read in the middle of a cycle, and never while that could cost anything."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway import intake
from gateway.clock import SystemClock
from gateway.intake import Intake
from gateway.pace import Pace
from gateway.ports import StoreUnavailable
from tests.support.waiting import until_async


class Rig:
    """An intake, its flow and its valve."""

    def __init__(self) -> None:
        self.stored: list[int] = []
        self.attempts = 0
        self.errors: list[Exception] = []
        self.gate = asyncio.Event()
        self.is_open = True
        self.intake: Intake[int] = Intake(self._flow, self, SystemClock(), chance=lambda: 0.0, of="items")

    async def _flow(self, batch: list[int]) -> None:
        self.attempts += 1
        await self.gate.wait()
        if self.errors:
            raise self.errors[0]
        self.stored += batch

    def open(self) -> None:
        self.is_open = True

    def shut(self) -> None:
        self.is_open = False

    def look(self) -> None:
        """Nothing has come."""


@asynccontextmanager
async def running() -> AsyncIterator[Rig]:
    rig = Rig()
    task = asyncio.create_task(rig.intake.run())
    try:
        yield rig
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_who_is_let_in_is_read_in_the_middle_of_a_cycle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pace, "linger_s", lambda self: 0.001)
    async with running() as rig:
        rig.intake.take([1], 10)
        await until_async(lambda: rig.attempts == 1)
        shut = not rig.is_open
        rig.intake.let_in()
        assert (shut, rig.is_open) == (True, True)
        rig.intake.take([2], 10)
        rig.gate.set()
        await until_async(lambda: rig.stored == [1, 2] and rig.is_open)


async def test_nobody_is_let_in_beyond_the_budget_while_a_store_is_away_or_at_the_end() -> None:
    async with running() as rig:
        rig.intake.take([1], intake.BYTE_BUDGET + 1)
        await until_async(lambda: rig.attempts == 1)
        rig.intake.let_in()
        assert not rig.is_open, "the budget is used up"
        rig.errors = [StoreUnavailable("history")]
        rig.gate.set()
        await until_async(lambda: rig.intake.failure)
        rig.intake.let_in()
        assert not rig.is_open, "nothing can be stored"
        rig.errors = []
        await until_async(lambda: not rig.intake.pending)
        rig.intake.drain()
        rig.intake.let_in()
        assert not rig.is_open, "nothing more is read"
