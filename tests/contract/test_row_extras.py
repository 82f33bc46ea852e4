"""What goes with the rows is stored with them, once, or not at all."""

from collections.abc import AsyncIterator

import pytest
from msgspec import msgpack, structs

from gateway.core.live_state import LiveState, Presence
from gateway.ports import HistoryBatch, LastReport, QuarantinedFrame, StoreUnavailable, UnitSighting
from gateway.stores.history import PostgresHistory
from gateway.stores.quarantine import PostgresQuarantine
from gateway.stores.row_extras import MAX_FRAMES_OF_A_DEVICE
from tests.support.stored import BOOT, DAY_MS, NOW_MS, a_row, ask, doubtful, register

STATE = LiveState(5, BOOT, 9, NOW_MS, NOW_MS, Presence.ONLINE, b"frame", (), (), None)
POISON = QuarantinedFrame("bike-a", "lk/v1/00/bike-a/report", "malformed", "at byte 3", NOW_MS, b"\x00\xff{")


@pytest.fixture
async def history(database: str) -> AsyncIterator[PostgresHistory]:
    register(database, "bike-a", "bike-b")
    store = PostgresHistory(database)
    yield store
    await store.close()


def batch(**changes: object) -> HistoryBatch:
    return structs.replace(HistoryBatch((), ()), **changes)


async def test_a_quarantined_frame_is_kept_whole(history: PostgresHistory, database: str) -> None:
    stranger = structs.replace(POISON, device_id="nobody", reason="unknown_device")
    await history.append(batch(quarantined=[POISON, stranger], rows=[a_row(1)]))
    kept = ask(
        database, "select operator_id, device_id, topic, reason, place, frame from quarantine order by 1"
    )
    assert kept == [
        (1, "bike-a", POISON.topic, "malformed", "at byte 3", POISON.frame),
        (None, "nobody", POISON.topic, "unknown_device", "at byte 3", POISON.frame),
    ]


async def test_equal_frames_are_counted_each_and_a_batch_given_again_adds_none(
    history: PostgresHistory, database: str
) -> None:
    for _ in range(2):
        await history.append(batch(quarantined=[POISON, POISON, POISON]))
    assert ask(database, "select count(*) from quarantine") == [(3,)]


async def test_a_loud_device_fills_its_own_share_of_a_day_only(
    history: PostgresHistory, database: str
) -> None:
    other = structs.replace(POISON, device_id="bike-b")
    for number in range(3):
        loud = [
            structs.replace(POISON, received_ms=NOW_MS + number, frame=b"%d" % i)
            for i in range(MAX_FRAMES_OF_A_DEVICE - 50)
        ]
        for _ in range(2):
            await history.append(batch(quarantined=[*loud, structs.replace(other, frame=b"%d" % number)]))
    await history.append(doubtful(a_row(1)))
    reused = [a_row(1, frame=b"other %d" % i) for i in range(5)]
    assert (await history.append(doubtful(*reused))).stamp_reused
    counts = "select device_id, count(*) from quarantine group by device_id order by 1"
    assert ask(database, counts) == [("bike-a", MAX_FRAMES_OF_A_DEVICE), ("bike-b", 3)]
    next_day = structs.replace(POISON, received_ms=NOW_MS + DAY_MS + 10)
    await history.append(batch(quarantined=[next_day]))
    assert ask(database, counts) == [("bike-a", MAX_FRAMES_OF_A_DEVICE + 1), ("bike-b", 3)]


async def test_frames_that_are_replayed_make_room_for_what_is_still_wrong(
    history: PostgresHistory, database: str
) -> None:
    frames = [structs.replace(POISON, frame=b"%d" % i) for i in range(MAX_FRAMES_OF_A_DEVICE)]
    await history.append(batch(quarantined=frames))
    quarantine = PostgresQuarantine(database)
    try:
        await quarantine.mark_reason_for_replay("malformed")
        await history.append(
            batch(quarantined=[structs.replace(one, received_ms=NOW_MS + 60_000) for one in frames])
        )
        marked = await quarantine.marked()
        assert await quarantine.settle([row.number for row in marked]) == len(frames)
    finally:
        await quarantine.close()
    assert ask(database, "select count(*) from quarantine") == [(MAX_FRAMES_OF_A_DEVICE,)]


async def test_rows_under_one_stamp_fill_the_same_share(history: PostgresHistory, database: str) -> None:
    await history.append(doubtful(a_row(1)))
    for number in range(3):
        reused = [a_row(1, frame=b"%d %d" % (number, i)) for i in range(MAX_FRAMES_OF_A_DEVICE - 50)]
        await history.append(doubtful(*reused))
    assert ask(database, "select count(*) from quarantine") == [(MAX_FRAMES_OF_A_DEVICE,)]


@pytest.mark.parametrize("text", ["\x00", "\ud800", "x" * 100_000, "\U0001f6b2", "'; drop table device; --"])
async def test_hostile_text_is_kept_without_harm(history: PostgresHistory, database: str, text: str) -> None:
    await history.append(batch(quarantined=[QuarantinedFrame(text, text, "malformed", text, NOW_MS, b"")]))
    assert ask(database, "select count(*), max(length(topic)) <= 256 from quarantine") == [(1, True)]


async def test_sightings_keep_the_order_of_commits_and_are_not_doubled(
    history: PostgresHistory, database: str
) -> None:
    first = UnitSighting("bank-1", 1, 3, NOW_MS)
    moved = UnitSighting("bank-1", 2, 5, NOW_MS - 1000)
    await history.append(batch(sightings=[first]))
    await history.append(batch(sightings=[moved, first]))
    newest = "select device_no, slot from unit_sighting where unit_id = 'bank-1' order by sighting_no desc"
    assert ask(database, newest) == [(2, 5), (1, 3)]


async def test_the_newest_state_of_a_device_is_saved(history: PostgresHistory, database: str) -> None:
    newer, older = structs.replace(STATE, revision=8), structs.replace(STATE, revision=2)
    await history.append(
        batch(
            last_reports=[
                LastReport(1, newer, NOW_MS),
                LastReport(1, STATE, NOW_MS),
                LastReport(2, STATE, NOW_MS),
            ]
        )
    )
    await history.append(batch(last_reports=[LastReport(1, older, NOW_MS)]))
    saved = ask(database, "select device_no, revision, state from last_report order by 1")
    assert [(no, revision) for no, revision, _ in saved] == [(1, 8), (2, 5)]
    assert msgpack.decode(saved[0][2], type=LiveState) == newer


async def test_all_of_it_is_in_one_transaction(history: PostgresHistory, database: str) -> None:
    """The staged part fails last; nothing of the batch may be there then."""
    ask(database, "drop table history_late cascade")
    whole = HistoryBatch(
        [a_row(1)], [a_row(2)], [POISON], [UnitSighting("u", 1, 1, NOW_MS)], [LastReport(1, STATE, NOW_MS)]
    )
    with pytest.raises(StoreUnavailable):
        await history.append(whole)
    for table in ("report", "quarantine", "unit_sighting", "last_report"):
        assert ask(database, f"select count(*) from {table}") == [(0,)]
