"""An answer waits for its report, and never for long."""

import asyncio

import pytest

from gateway.commands import patience
from gateway.commands.patience import EvidencePatience


async def test_it_ends_as_soon_as_what_it_waits_for_was_told() -> None:
    waited = EvidencePatience()
    told: list[str] = []
    waiting = asyncio.create_task(waited.until(lambda: bool(told)))
    await asyncio.sleep(0)
    told.append("the answer")
    waited.stir()
    await asyncio.wait_for(waiting, 30)


async def test_it_ends_by_itself() -> None:
    waited = EvidencePatience()
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    await asyncio.wait_for(waited.until(lambda: False), 30)
    assert loop.time() - began_s >= patience.ANSWERS_WAIT_S / 2


async def test_another_word_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # A busy machine takes longer than five milliseconds for a few turns of the loop.
    monkeypatch.setattr(patience, "ANSWERS_WAIT_S", 60.0)
    waited = EvidencePatience()
    told: list[str] = []
    waiting = asyncio.create_task(waited.until(lambda: bool(told)))
    await asyncio.sleep(0)
    waited.stir()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    told.append("it")
    waited.stir()
    await asyncio.wait_for(waiting, 30)
