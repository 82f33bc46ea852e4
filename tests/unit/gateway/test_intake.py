"""Batches leave at once when idle, one at a time, and again and again while a store is away."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from gateway import intake
from gateway.clock import SystemClock
from gateway.intake import AlwaysOpen, Intake
from gateway.pace import Pace
from gateway.ports import Clock, StoreUnavailable
from tests.support.waiting import until_async


class Flow:
    """Stores what it is given, unless told otherwise."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.attempts = 0
        self.errors: list[Exception] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, batch: list[int]) -> None:
        self.attempts += 1
        await self.gate.wait()
        if self.errors:
            raise self.errors[0]
        self.batches.append(batch)

    @property
    def stored(self) -> list[int]:
        return [item for batch in self.batches for item in batch]


class CountingValve:
    """Knows whether it is open."""

    def __init__(self) -> None:
        self.is_open = True

    def open(self) -> None:
        self.is_open = True

    def shut(self) -> None:
        self.is_open = False

    def look(self) -> None:
        """Nothing has come."""


class Lookout:
    """Remembers what it was shown."""

    def __init__(self) -> None:
        self.is_worth_it = True
        self.shown: list[int] = []
        self.errors: list[Exception] = []

    def pays(self) -> bool:
        return self.is_worth_it

    async def look(self, items: Sequence[int]) -> None:
        if self.errors:
            raise self.errors.pop()
        self.shown += items


class SteppedClock(SystemClock):
    """Seconds pass when the test says so."""

    def __init__(self) -> None:
        self.s = 0.0

    def monotonic_s(self) -> float:
        return self.s


@asynccontextmanager
async def running(
    lookout: Lookout | None = None,
    *,
    clock: Clock | None = None,
    worked_s: Callable[[], float] = lambda: 0.0,
) -> AsyncIterator[tuple[Intake[int], Flow, CountingValve]]:
    flow, valve = Flow(), CountingValve()
    collecting: Intake[int] = Intake(
        flow, valve, clock or SystemClock(), chance=lambda: 0.0, of="items", ahead=lookout, worked_s=worked_s
    )
    task = asyncio.create_task(collecting.run())
    try:
        yield collecting, flow, valve
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_an_idle_intake_gives_at_once_and_reads_on() -> None:
    async with running() as (collecting, flow, valve):
        for number in range(5):
            collecting.take([number], 10)
            await until_async(lambda: collecting.pending == 0)
            assert flow.stored[-1] == number
        assert flow.stored == [0, 1, 2, 3, 4]
        await until_async(lambda: valve.is_open)
        assert (collecting.pending, collecting.pending_bytes, collecting.waiting_ms()) == (0, 0, 0)


async def test_under_load_nothing_is_read_while_a_batch_is_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pace, "linger_s", lambda self: 0.001)
    async with running() as (collecting, flow, valve):
        flow.gate.clear()
        collecting.take([1], 10)
        await until_async(lambda: flow.attempts == 1)
        assert not valve.is_open
        flow.gate.set()
        await until_async(lambda: valve.is_open)


@pytest.mark.parametrize(("busy", "reads_on"), [(0.1, True), (0.9, False)])
async def test_a_thread_that_is_short_of_cpu_gathers_at_a_rate_that_is_not_high(
    busy: float, reads_on: bool
) -> None:
    clock = SteppedClock()
    async with running(clock=clock, worked_s=lambda: clock.s * busy) as (collecting, flow, valve):
        for _ in range(10):
            clock.s += 0.2
            collecting.take([1] * 400, 10)
            await until_async(lambda: collecting.pending == 0)
        flow.gate.clear()
        clock.s += 0.2
        collecting.take([2], 10)
        await until_async(lambda: flow.attempts == 11)
        assert valve.is_open is reads_on


async def test_an_idle_intake_reads_on_within_its_budget_while_a_batch_is_in_flight() -> None:
    async with running() as (collecting, flow, valve):
        flow.gate.clear()
        collecting.take([1], 10)
        await until_async(lambda: flow.attempts == 1)
        opened = valve.is_open
        collecting.take([2], intake.BYTE_BUDGET)
        assert (opened, valve.is_open) == (True, False)
        flow.gate.set()
        await until_async(lambda: flow.stored == [1, 2] and valve.is_open)


async def test_what_comes_while_a_batch_is_in_flight_goes_together_and_in_order() -> None:
    async with running() as (collecting, flow, _):
        flow.gate.clear()
        collecting.take([1], 10)
        await until_async(lambda: flow.attempts == 1)
        collecting.take([2, 3], 10)
        collecting.take([4], 10)
        assert collecting.pending == 4
        flow.gate.set()
        await until_async(lambda: len(flow.stored) == 4)
        assert flow.batches == [[1], [2, 3, 4]]


async def test_while_a_store_is_away_the_same_batch_waits() -> None:
    async with running() as (collecting, flow, valve):
        flow.errors = [StoreUnavailable("history")]
        collecting.take([1, 2], 10)
        await until_async(lambda: flow.attempts >= 3)
        assert collecting.failure == "store away: history"
        assert not valve.is_open
        flow.errors = []
        await until_async(lambda: flow.stored == [1, 2])
        assert collecting.failure == ""


async def test_a_failure_nobody_foresaw_is_tried_a_few_times_and_then_ends_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(intake, "FIRST_DELAY_S", 0.0)
    monkeypatch.setattr(intake, "CAP_DELAY_S", 0.0)
    flow = Flow()
    flow.errors = [ZeroDivisionError()]
    collecting: Intake[int] = Intake(flow, AlwaysOpen(), SystemClock(), chance=lambda: 0.0, of="items")
    collecting.take([1], 1)
    with pytest.raises(ZeroDivisionError):
        await collecting.run()
    assert flow.attempts == intake.MAX_FAILURES


async def test_batches_are_bounded_and_so_are_bytes() -> None:
    async with running() as (collecting, flow, valve):
        collecting.take(list(range(intake.MAX_BATCH_ROWS * 2 + 1)), intake.BYTE_BUDGET + 1)
        assert not valve.is_open
        await until_async(lambda: collecting.pending == 0)
        assert [len(batch) for batch in flow.batches] == [2_000, 2_000, 1]
        assert collecting.pending_bytes == 0


async def test_a_drain_stores_what_was_read_and_ends() -> None:
    async with running() as (collecting, flow, valve):
        flow.gate.clear()
        collecting.take([1], 1)
        await until_async(lambda: flow.attempts == 1)
        collecting.take([2], 1)
        collecting.drain()
        flow.gate.set()
        await asyncio.wait_for(collecting.drained.wait(), 30)
        assert flow.stored == [1, 2]
        assert not valve.is_open


async def test_what_waits_is_shown_once_to_who_looks_ahead_and_stored_in_its_turn() -> None:
    lookout = Lookout()
    async with running(lookout) as (collecting, flow, valve):
        flow.errors = [StoreUnavailable("live states")]
        collecting.take([1, 2], 10)
        await until_async(lambda: lookout.shown == [1, 2] and valve.is_open)
        collecting.take([3], 10)
        collecting.take([4], 10)
        await until_async(lambda: lookout.shown == [1, 2, 3, 4])
        assert (flow.stored, collecting.pending) == ([], 4)
        flow.errors = []
        await until_async(lambda: flow.stored == [1, 2, 3, 4])
        collecting.take([5], 10)
        await until_async(lambda: collecting.pending == 0)
        assert lookout.shown == [1, 2, 3, 4]


async def test_nothing_is_shown_and_read_ahead_while_nobody_waits_for_it() -> None:
    lookout = Lookout()
    lookout.is_worth_it = False
    async with running(lookout) as (collecting, flow, valve):
        flow.errors = [StoreUnavailable("live states")]
        collecting.take([1], 10)
        await until_async(lambda: flow.attempts >= 4)
        assert (lookout.shown, valve.is_open) == ([], False)
        lookout.is_worth_it = True
        await until_async(lambda: lookout.shown == [1] and valve.is_open)
        lookout.is_worth_it = False
        await until_async(lambda: not valve.is_open)


async def test_ahead_is_read_up_to_the_byte_budget_and_no_further() -> None:
    lookout = Lookout()
    async with running(lookout) as (collecting, flow, valve):
        flow.errors = [StoreUnavailable("live states")]
        collecting.take([1], 10)
        await until_async(lambda: lookout.shown == [1] and valve.is_open)
        collecting.take([2], intake.BYTE_BUDGET)
        assert not valve.is_open
        tried = flow.attempts
        await until_async(lambda: lookout.shown == [1, 2] and flow.attempts > tried + 1)
        assert not valve.is_open


async def test_what_could_not_be_looked_at_is_shown_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "CAP_DELAY_S", 0.01)
    lookout = Lookout()
    lookout.errors = [ZeroDivisionError(), StoreUnavailable("commands")]
    async with running(lookout) as (collecting, flow, _):
        flow.errors = [StoreUnavailable("live states")]
        collecting.take([1], 10)
        await until_async(lambda: lookout.shown == [1])
        lookout.errors = [StoreUnavailable("commands")]
        collecting.take([2], 10)
        await until_async(lambda: lookout.shown == [1, 2])


async def test_a_batch_that_hangs_keeps_nobody_from_looking_ahead() -> None:
    lookout = Lookout()
    async with running(lookout) as (collecting, flow, valve):
        flow.errors = [StoreUnavailable("live states")]
        collecting.take([1], 10)
        await until_async(lambda: lookout.shown == [1] and valve.is_open)
        flow.gate.clear()
        tried = flow.attempts
        await until_async(lambda: flow.attempts > tried)
        collecting.take([2], 10)
        await until_async(lambda: lookout.shown == [1, 2])
        flow.errors = []
        flow.gate.set()
        await until_async(lambda: flow.stored == [1, 2])


async def test_who_drains_reads_nothing_ahead() -> None:
    lookout = Lookout()
    async with running(lookout) as (collecting, flow, valve):
        flow.errors = [StoreUnavailable("live states")]
        collecting.take([1], 10)
        await until_async(lambda: lookout.shown == [1] and valve.is_open)
        collecting.drain()
        tried = flow.attempts
        await until_async(lambda: flow.attempts > tried + 1)
        assert not valve.is_open
        flow.errors = []
        await asyncio.wait_for(collecting.drained.wait(), 30)
