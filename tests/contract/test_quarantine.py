"""Frames wait for a person, in order, until they are replayed."""

from collections.abc import AsyncIterator

import pytest

from gateway.ports import HistoryBatch, QuarantinedFrame
from gateway.stores.history import PostgresHistory
from gateway.stores.quarantine import PostgresQuarantine
from tests.support.stored import NOW_MS

FRAMES = [
    QuarantinedFrame(
        f"bike-{n}", "topic", "malformed" if n % 2 else "wrong_shard", "here", NOW_MS + n, b"\x00%d" % n
    )
    for n in range(9)
]


@pytest.fixture
async def quarantine(database: str) -> AsyncIterator[PostgresQuarantine]:
    history = PostgresHistory(database)
    await history.append(HistoryBatch((), (), FRAMES))
    await history.close()
    store = PostgresQuarantine(database)
    yield store
    await store.close()


async def test_the_newest_come_first_page_by_page(quarantine: PostgresQuarantine) -> None:
    names, before = [], None
    while page := await quarantine.page(before, 4):
        names += [row.device_id for row in page]
        before = page[-1].number
    assert names == [frame.device_id for frame in reversed(FRAMES)]


async def test_a_frame_is_whole(quarantine: PostgresQuarantine) -> None:
    (row,) = await quarantine.page(None, 1)
    last = FRAMES[-1]
    assert (row.topic, row.reason, row.where, row.received_ms, row.frame) == (
        last.topic, last.reason, last.where, last.received_ms, last.frame,
    )  # fmt: skip


async def test_reasons_are_counted_and_asked_for(quarantine: PostgresQuarantine) -> None:
    assert await quarantine.counts() == {"malformed": 4, "wrong_shard": 5}
    assert {row.reason for row in await quarantine.page(None, 100, reason="malformed")} == {"malformed"}


async def test_marked_frames_stay_until_they_are_settled(quarantine: PostgresQuarantine) -> None:
    numbers = [row.number for row in await quarantine.page(None, 3)]
    assert await quarantine.mark_for_replay(numbers) == 3
    assert await quarantine.mark_for_replay(numbers) == 0
    for _ in range(2):
        assert [row.number for row in await quarantine.marked()] == sorted(numbers)
    assert await quarantine.settle(numbers[:1]) == 1
    assert [row.number for row in await quarantine.marked()] == sorted(numbers[1:])
    assert sum((await quarantine.counts()).values()) == 8


async def test_all_of_a_reason_can_be_marked(quarantine: PostgresQuarantine) -> None:
    assert await quarantine.mark_reason_for_replay("wrong_shard") == 5
    assert len(await quarantine.marked(limit=2)) == 2
    assert {row.reason for row in await quarantine.marked()} == {"wrong_shard"}
