"""History as people ask for it: complete, in order, page by page, within reason."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from gateway.ports import HistoryBatch, StoreUnavailable
from gateway.reading import BadCursor, BadRange, HistoryQuestion, RawPoint, StepPoint
from gateway.stores.history import PostgresHistory
from gateway.stores.history_queries import PostgresHistoryQueries
from gateway.stores.reading_pool import ReadingPool
from tests.support.stored import BOOT, DAY_MS, NOW_MS, a_row, ask
from tests.support.waiting import until_async

HOUR_MS = 3_600_000
DAY_BEGINS_MS = NOW_MS // DAY_MS * DAY_MS
ALL = HistoryQuestion(1, 1, "raw", NOW_MS - 20 * DAY_MS, NOW_MS + DAY_MS, 1000, None)


@pytest.fixture
async def stored(database: str) -> str:
    """Two hours of device 1, a report every ten minutes, three of them late; and one report of device 2."""
    history = PostgresHistory(database)
    rows = [
        a_row(
            n, at_ms=DAY_BEGINS_MS + n * 600_000, received_ms=DAY_BEGINS_MS + n * 600_000, battery_pct=90 - n
        )
        for n in range(12)
    ]
    late = [
        structs.replace(row, seq=row.seq + 100, at_ms=row.at_ms - 9 * DAY_MS, boot=BOOT - 9 * 86_400)
        for row in rows[:3]
    ]
    await history.append(HistoryBatch([*rows, a_row(1, device_no=2)], late))
    await history.close()
    return database


@pytest.fixture
async def queries(stored: str) -> AsyncIterator[PostgresHistoryQueries]:
    pool = ReadingPool(stored)
    await pool.open()
    yield PostgresHistoryQueries(pool)
    await pool.close()


async def walk(queries: PostgresHistoryQueries, question: HistoryQuestion) -> list[RawPoint | StepPoint]:
    """All pages of an answer."""
    points: list[RawPoint | StepPoint] = []
    while True:
        page = await queries.page(question)
        assert len(page.points) <= question.limit
        points.extend(page.points)
        if page.next_after is None:
            return points
        question = structs.replace(question, after=page.next_after)


def _times(points: Sequence[RawPoint | StepPoint]) -> list[int]:
    return [point.at_ms for point in points]


async def test_raw_points_are_whole_and_in_order(queries: PostgresHistoryQueries) -> None:
    points = await walk(queries, ALL)
    assert len(points) == 15
    assert _times(points) == sorted(_times(points))
    newest = points[-1]
    assert isinstance(newest, RawPoint)
    assert (newest.boot, newest.seq, newest.battery_pct, newest.lat_e7) == (BOOT, 11, 79, 13_000_000)


@pytest.mark.parametrize("limit", [1, 2, 5, 15, 16])
@pytest.mark.parametrize("step", ["raw", "1m", "1h", "1d"])
async def test_pages_of_any_size_hold_the_same_points(
    queries: PostgresHistoryQueries, limit: int, step: str
) -> None:
    whole = structs.replace(ALL, step=step)
    assert await walk(queries, structs.replace(whole, limit=limit)) == await walk(queries, whole)


async def test_a_range_begins_where_it_says_and_ends_before_its_end(queries: PostgresHistoryQueries) -> None:
    question = structs.replace(ALL, from_ms=DAY_BEGINS_MS + 600_000, to_ms=DAY_BEGINS_MS + 3 * 600_000)
    assert _times(await walk(queries, question)) == [DAY_BEGINS_MS + 600_000, DAY_BEGINS_MS + 1_200_000]


async def test_hours_say_what_happened_in_them(queries: PostgresHistoryQueries) -> None:
    question = structs.replace(ALL, step="1h", from_ms=DAY_BEGINS_MS + 1, to_ms=DAY_BEGINS_MS + HOUR_MS + 1)
    first, second = await walk(queries, question)
    assert isinstance(first, StepPoint)
    assert (first.at_ms, second.at_ms) == (DAY_BEGINS_MS, DAY_BEGINS_MS + HOUR_MS)
    assert (first.reports, first.online_minutes) == (6, 6)
    assert (first.battery_min_pct, first.battery_max_pct, first.battery_last_pct) == (85, 90, 85)
    assert (first.lat_e7, first.lon_e7) == (13_000_000, 1_038_000_000)


async def test_days_add_up(queries: PostgresHistoryQueries) -> None:
    points = await walk(queries, structs.replace(ALL, step="1d"))
    assert [point.reports for point in points if isinstance(point, StepPoint)] == [12]


@pytest.mark.parametrize("step", ["raw", "1m", "1h", "1d"])
async def test_who_gets_a_device_does_not_get_what_it_told_the_operator_before(
    stored: str, queries: PostgresHistoryQueries, step: str
) -> None:
    """Not even in the hour in which it changed hands; nor does the one before read on."""
    ask(stored, "insert into operator (operator_id, name) values (2, 'two')")
    history = PostgresHistory(stored)
    changed_ms = DAY_BEGINS_MS + HOUR_MS
    later = [
        a_row(n, at_ms=changed_ms + n * 60_000, received_ms=changed_ms + n * 60_000, operator_id=2)
        for n in range(12, 15)
    ]
    await history.append(HistoryBatch(later, []))
    await history.close()
    question = structs.replace(ALL, step=step, limit=2)
    told = {
        operator_id: await walk(queries, structs.replace(question, operator_id=operator_id))
        for operator_id in (1, 2)
    }
    count = len if step == "raw" else lambda points: sum(point.reports for point in points)
    assert (count(told[1]), count(told[2])) == (15 if step == "raw" else 12, 3)


async def test_what_takes_long_leaves_connections_for_others(
    queries: PostgresHistoryQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys and revocations are read through the same pool."""
    asked, go = 0, asyncio.Event()

    async def slowly(self: ReadingPool, sql: str, arguments: object = ()) -> list[tuple[Any, ...]]:
        nonlocal asked
        asked += 1
        await go.wait()
        return []

    monkeypatch.setattr(ReadingPool, "rows", slowly)
    monkeypatch.setattr("gateway.stores.history_queries.WAIT_S", 0.1)
    pages = [asyncio.ensure_future(queries.page(ALL)) for _ in range(5)]
    await until_async(lambda: asked == 2)
    with pytest.raises(StoreUnavailable):
        await asyncio.wait_for(pages[-1], 60)
    assert asked == 2
    go.set()
    answers = await asyncio.gather(*pages, return_exceptions=True)
    assert [isinstance(one, StoreUnavailable) for one in answers] == [False, False, True, True, True]


@pytest.mark.parametrize(
    "absurd",
    [
        {"to_ms": ALL.from_ms},
        {"to_ms": ALL.from_ms - 1},
        {"from_ms": NOW_MS - 100 * DAY_MS},
        {"step": "1m", "from_ms": NOW_MS - 1000 * DAY_MS},
        {"limit": 0},
        {"limit": 1_000_000},
    ],
)
async def test_an_absurd_question_is_refused(
    queries: PostgresHistoryQueries, absurd: dict[str, object]
) -> None:
    with pytest.raises(BadRange):
        await queries.page(structs.replace(ALL, **absurd))


async def test_a_cursor_belongs_to_its_question(queries: PostgresHistoryQueries) -> None:
    cursor = (await queries.page(structs.replace(ALL, limit=2))).next_after
    assert cursor is not None
    for other in (
        structs.replace(ALL, device_no=2),
        structs.replace(ALL, operator_id=2),
        structs.replace(ALL, step="1h"),
        structs.replace(ALL, from_ms=0 + ALL.from_ms + 1),
    ):
        with pytest.raises(BadCursor):
            await queries.page(structs.replace(other, after=cursor))


@given(st.text(max_size=40) | st.binary(max_size=40).map(lambda raw: raw.hex()))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_an_invented_cursor_is_refused(queries: PostgresHistoryQueries, cursor: str) -> None:
    with pytest.raises(BadCursor):
        await queries.page(structs.replace(ALL, after=cursor))
