"""Under load sources stay shut, and are looked at once in a cycle."""

import asyncio

import pytest

from gateway.clock import SystemClock
from gateway.intake import Intake
from gateway.pace import Pace
from tests.support.waiting import until_async


class Rig:
    """An intake, its flow and a source that has these batches to come."""

    def __init__(self, *coming: list[int]) -> None:
        self.batches: list[list[int]] = []
        self.coming = [*coming]
        self.is_open = True
        self.times_opened = 0
        self.looks = 0
        self.intake: Intake[int] = Intake(self._flow, self, SystemClock(), chance=lambda: 0.0, of="items")

    async def _flow(self, batch: list[int]) -> None:
        self.batches.append(batch)

    def open(self) -> None:
        self.is_open = True
        self.times_opened += 1

    def shut(self) -> None:
        self.is_open = False

    def look(self) -> None:
        assert not self.is_open
        self.looks += 1
        if self.coming:
            self.intake.take(self.coming.pop(0), 10)


async def test_under_load_sources_are_looked_at_and_opened_only_when_nothing_has_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Pace, "linger_s", lambda self: 0.001)
    rig = Rig([2, 3], [4])
    running = asyncio.create_task(rig.intake.run())
    rig.intake.take([1], 10)
    await until_async(lambda: rig.is_open and not rig.coming)
    assert rig.batches == [[1], [2, 3], [4]]
    assert (rig.looks, rig.times_opened) == (3, 1)
    rig.intake.drain()
    await running


async def test_who_ends_while_it_lingers_looks_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig([2])
    asked: list[bool] = []

    def linger_s(_: Pace) -> float:
        asked.append(True)
        if len(asked) == 2:
            # Once before the batch is stored, and now before the next is read.
            asyncio.get_running_loop().call_soon(rig.intake.drain)
        return 0.001

    monkeypatch.setattr(Pace, "linger_s", linger_s)
    rig.intake.take([1], 10)
    await rig.intake.run()
    assert (rig.batches, len(asked), rig.looks, rig.is_open) == ([[1]], 2, 0, False)
