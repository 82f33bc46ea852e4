"""While a store is away the sources are shut: what waits in memory stays bounded."""

import asyncio

from gateway.intake import BYTE_BUDGET, Intake
from gateway.ports import StoreUnavailable
from tests.support.fakes.clock import FakeClock
from tests.support.waiting import until_async

READ_BYTES = 1024 * 1024


class Source:
    """Has more to give whenever it is open, as a broker with a backlog has."""

    def __init__(self) -> None:
        self.is_open = True
        self.times_shut = 0

    def open(self) -> None:
        self.is_open = True

    def shut(self) -> None:
        self.is_open = False
        self.times_shut += 1

    def look(self) -> None:
        raise AssertionError("nobody lingers here")


async def test_what_waits_for_a_store_that_is_away_is_bounded() -> None:
    source, tried, answers = Source(), asyncio.Event(), asyncio.Event()
    taken: list[int] = []

    async def store(batch: list[int]) -> None:
        tried.set()
        if not answers.is_set():
            raise StoreUnavailable("away")
        taken.extend(batch)

    intake: Intake[int] = Intake(store, source, FakeClock(), chance=lambda: 0.0)
    running = asyncio.create_task(intake.run())
    given = 0
    intake.take([given], READ_BYTES)
    await tried.wait()
    while source.is_open and intake.pending_bytes <= 2 * BYTE_BUDGET:
        given += 1
        intake.take([given], READ_BYTES)
    assert intake.pending_bytes <= BYTE_BUDGET + READ_BYTES
    answers.set()
    await until_async(lambda: not intake.pending)
    assert taken == list(range(given + 1))
    intake.drain()
    await running


async def test_a_burst_above_the_budget_shuts_the_source_at_once() -> None:
    source = Source()

    async def store(batch: list[int]) -> None:
        return None

    intake: Intake[int] = Intake(store, source, FakeClock(), chance=lambda: 0.0)
    intake.take([1], BYTE_BUDGET)
    assert source.times_shut == 0
    intake.take([2], 1)
    assert source.times_shut == 1
    intake.drain()
    await intake.run()
    assert intake.drained.is_set()
    assert intake.pending == 0
