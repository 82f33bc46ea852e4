"""One row per stamp, whatever comes, however often, and whatever breaks meanwhile."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import count

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from gateway.ports import HistoryBatch, HistoryRow, StoreUnavailable
from gateway.stores.history import PostgresHistory
from gateway.stores.postgres_link import PostgresLink
from tests.support.stored import BOOT, DAY_MS, NOW_MS, a_row, ask, doubtful, fresh, register
from tests.support.waiting import until, until_async

STAMPS = "select device_no, boot, seq, frame from report_all order by device_no, boot, seq"
DEVICE_NOS = count(1000)


@pytest.fixture
async def history(database: str) -> AsyncIterator[PostgresHistory]:
    store = PostgresHistory(database)
    yield store
    await store.close()


def partitions(dsn: str) -> int:
    """Chunks of the hypertable, or partitions."""
    hyper = ask(dsn, "select to_regclass('_timescaledb_catalog.chunk') is not null")[0][0]
    if hyper:
        return int(ask(dsn, "select count(*) from show_chunks('report')")[0][0])
    return int(ask(dsn, "select count(*) from pg_inherits where inhparent = 'report'::regclass")[0][0])


async def test_a_batch_is_stored_as_it_is(history: PostgresHistory, database: str) -> None:
    rows = [a_row(seq) for seq in range(1, 6)]
    appended = await history.append(fresh(*rows))
    assert (appended.doubled, appended.stamp_reused) == (0, frozenset())
    assert ask(database, STAMPS) == [(1, BOOT, row.seq, row.frame) for row in rows]


async def test_no_batch_of_the_day_waits_for_partitions_once_it_is_open(
    history: PostgresHistory, database: str
) -> None:
    await history.open(NOW_MS)
    ask(database, "drop function latchkey_make_partitions(date, date)")
    await history.append(fresh(a_row(1)))
    assert len(ask(database, STAMPS)) == 1


async def test_a_batch_given_again_changes_nothing(history: PostgresHistory, database: str) -> None:
    rows = [a_row(seq) for seq in range(1, 6)]
    await history.append(fresh(*rows))
    appended = await history.append(fresh(*rows, a_row(6)))
    assert appended.doubled == 5
    assert len(ask(database, STAMPS)) == 6


async def test_an_empty_batch_is_stored(history: PostgresHistory) -> None:
    assert (await history.append(fresh())).doubled == 0


async def test_another_frame_under_a_stored_stamp_is_quarantined(
    history: PostgresHistory, database: str
) -> None:
    register(database, "bike-a")
    await history.append(fresh(a_row(1), a_row(2)))
    appended = await history.append(doubtful(a_row(1, frame=b"other"), a_row(2), a_row(3)))
    assert appended.stamp_reused == {(1, BOOT, 1)}
    assert appended.doubled == 1
    assert [row[3] for row in ask(database, STAMPS)] == [b"frame 1", b"frame 2", b"frame 3"]
    kept = ask(database, "select device_id, reason, frame, operator_id from quarantine")
    assert kept == [("bike-a", "stamp_reused", b"other", 1)]


async def test_a_reused_stamp_is_found_hours_from_the_first(history: PostgresHistory) -> None:
    await history.append(fresh(a_row(1)))
    later = a_row(1, at_ms=NOW_MS + DAY_MS, received_ms=NOW_MS + DAY_MS, frame=b"other")
    assert (await history.append(doubtful(later))).stamp_reused == {(1, BOOT, 1)}


async def test_a_basic_device_that_repeats_itself_days_later_has_one_row(
    history: PostgresHistory, database: str
) -> None:
    await history.append(fresh(a_row(7, boot=0)))
    for days in (1, 3, 6):
        again = a_row(7, boot=0, at_ms=NOW_MS + days * DAY_MS, received_ms=NOW_MS + days * DAY_MS)
        assert (await history.append(doubtful(again))).doubled == 1
    assert len(ask(database, STAMPS)) == 1


async def test_late_rows_are_kept_apart_and_kept_once(history: PostgresHistory, database: str) -> None:
    late = [a_row(seq, at_ms=NOW_MS - 8 * DAY_MS + seq, boot=BOOT - 10 * 86_400) for seq in range(1, 4)]
    assert (await history.append(fresh(*late))).doubled == 0
    assert (await history.append(fresh(*late))).doubled == 3
    assert (await history.append(doubtful(structs.replace(late[0], frame=b"other")))).stamp_reused
    assert ask(database, "select count(*) from history_late") == [(3,)]
    assert ask(database, "select count(*) from report") == [(0,)]
    assert len(ask(database, STAMPS)) == 3


async def test_a_row_that_became_late_since_it_was_stored_is_not_stored_again(
    history: PostgresHistory, database: str
) -> None:
    row = a_row(1)
    await history.append(fresh(row))
    again = structs.replace(row, received_ms=row.received_ms + 8 * DAY_MS)
    assert (await history.append(doubtful(again))).doubled == 1
    assert len(ask(database, STAMPS)) == 1


async def test_hostile_clocks_make_few_partitions(history: PostgresHistory, database: str) -> None:
    """The edges of what a row time may be, next to rows of today."""
    await history.append(fresh(a_row(1)))
    before = partitions(database)
    edges = (-30 * DAY_MS, 8 * DAY_MS, 3_600_000, -3_600_000)
    rows = []
    for seq in range(2, 2002):
        at_ms = BOOT * 1000 + edges[seq % 4] if seq % 20 == 0 else NOW_MS + seq
        rows.append(a_row(seq, at_ms=at_ms, received_ms=NOW_MS + seq, clock_suspect=seq % 20 == 0))
    await history.append(fresh(*rows))
    assert len(ask(database, STAMPS)) == 2001
    assert partitions(database) - before <= 3


async def test_a_row_of_a_day_nobody_made_ready_is_stored(history: PostgresHistory, database: str) -> None:
    """The store's own bounds hold even if a caller forgets the clamps of the row time."""
    rows = [a_row(1, at_ms=NOW_MS + 4000 * DAY_MS), a_row(2, at_ms=1000), a_row(3)]
    await history.append(fresh(*rows))
    assert len(ask(database, STAMPS)) == 3


async def test_a_row_that_postgres_refuses_does_not_take_its_batch_down(
    history: PostgresHistory, database: str
) -> None:
    register(database, "bike-a")
    ask(database, "alter table report add constraint poison check (battery_pct <> 13)")
    rows = [a_row(seq, battery_pct=13 if seq in (20, 77) else 50) for seq in range(1, 101)]
    await history.append(fresh(*rows))
    assert len(ask(database, STAMPS)) == 98
    kept = ask(database, "select device_id, reason, frame from quarantine order by quarantine_no")
    assert kept == [("bike-a", "refused_by_store", b"frame 20"), ("bike-a", "refused_by_store", b"frame 77")]


async def test_a_row_that_no_column_can_hold_is_quarantined(history: PostgresHistory, database: str) -> None:
    await history.append(fresh(a_row(1), a_row(2, battery_pct=40_000), a_row(3)))
    assert [row[2] for row in ask(database, STAMPS)] == [1, 3]
    assert ask(database, "select reason from quarantine") == [("refused_by_store",)]


async def test_two_gateways_that_store_the_same_reports_at_once_store_them_once(database: str) -> None:
    stores = [PostgresHistory(database) for _ in range(4)]
    rows = [a_row(seq) for seq in range(1, 200)]
    appended = await asyncio.gather(
        *(store.append(fresh(*rows) if n % 2 else doubtful(*rows)) for n, store in enumerate(stores))
    )
    assert len(ask(database, STAMPS)) == len(rows)
    assert sum(one.doubled for one in appended) == 3 * len(rows)
    for store in stores:
        await store.close()


async def test_a_batch_whose_backend_is_killed_is_stored_wholly_or_not_at_all(
    history: PostgresHistory, database: str
) -> None:
    rows = [a_row(seq) for seq in range(1, 51)]
    batch = HistoryBatch(rows[:40], rows[40:])
    await history.append(fresh(a_row(1000)))
    blocker = psycopg.connect(database)
    # The staged part waits for this lock when the copied part is in the table, not committed.
    blocker.execute("lock table history_late in access exclusive mode")
    appending = asyncio.create_task(history.append(batch))
    backend = await until_async(lambda: _waiting_backend(database))
    os.kill(backend, signal.SIGKILL)
    with pytest.raises(StoreUnavailable):
        await appending
    blocker.close()
    stored = until(lambda: _answers(database))
    assert len(stored) == 1
    assert (await _append_when_up(history, batch)) in (0, 50)
    assert len(ask(database, STAMPS)) == 51


async def test_a_frozen_backend_is_given_up_on_and_its_batch_can_be_given_again(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults = PostgresLink.run.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "deadline_s", 1.0)
    history = PostgresHistory(database)
    await history.append(fresh(a_row(1)))
    backend = ask(database, "select pid from pg_stat_activity where application_name = 'latchkey-history'")[
        0
    ][0]
    os.kill(backend, signal.SIGSTOP)
    try:
        with pytest.raises(StoreUnavailable):
            await history.append(fresh(a_row(2)))
        await history.append(fresh(a_row(3)))
    finally:
        os.kill(backend, signal.SIGCONT)
    await history.append(doubtful(a_row(2), a_row(3)))
    assert [row[2] for row in ask(database, STAMPS)] == [1, 2, 3]
    await history.close()


@dataclass
class Model:
    """What must be stored, by the rules alone."""

    frames: dict[tuple[int, int], bytes] = field(default_factory=dict)
    doubled: int = 0
    reused: set[tuple[int, int]] = field(default_factory=set)

    def take(self, row: HistoryRow) -> None:
        stamp = (row.boot, row.seq)
        stored = self.frames.setdefault(stamp, row.frame)
        if stored != row.frame:
            self.reused.add(stamp)


@st.composite
def deliveries(draw: st.DrawFn) -> list[list[tuple[bool, HistoryRow]]]:
    """Batches of (by COPY if it may, row): repeated, reordered, some stamps reused, some rows late."""
    batches = []
    for _ in range(draw(st.integers(1, 5))):
        batch = []
        for _ in range(draw(st.integers(0, 8))):
            seq, full = draw(st.integers(1, 5)), draw(st.booleans())
            at_ms = NOW_MS + seq * 1000 - draw(st.sampled_from([0, 0, 0, 9 * DAY_MS])) * (seq == 5)
            if not full:
                at_ms += draw(st.integers(-DAY_MS, DAY_MS))
            frame = b"frame" if draw(st.integers(0, 9)) else b"other"
            row = a_row(seq, boot=BOOT if full else 0, at_ms=at_ms, received_ms=NOW_MS, frame=frame)
            batch.append((draw(st.booleans()), row))
        batches.append(batch)
    return batches


@given(deliveries())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_every_stamp_is_stored_exactly_once_under_any_duplication_and_order(
    database: str, batches: list[list[tuple[bool, HistoryRow]]]
) -> None:
    history, model, device_no = PostgresHistory(database), Model(), next(DEVICE_NOS)
    reused: set[tuple[int, int]] = set()
    for batch in batches:
        copied, staged, newest = [], [], max(model.frames, default=(-1, -1))
        for by_copy, row in batch:
            mine = structs.replace(row, device_no=device_no)
            if by_copy and (row.boot, row.seq) > newest:
                copied.append(mine)
                newest = (row.boot, row.seq)
            else:
                staged.append(mine)
        for row in (*copied, *staged):
            model.take(row)
        appended = await history.append(HistoryBatch(copied, staged))
        reused |= {(boot, seq) for _, boot, seq in appended.stamp_reused}
    await history.close()
    stored = ask(database, "select boot, seq, frame from report_all where device_no = %s", [device_no])
    assert len(stored) == len(model.frames)
    assert {(boot, seq): frame for boot, seq, frame in stored} == model.frames
    assert reused == model.reused


def _waiting_backend(dsn: str) -> int | None:
    rows = ask(
        dsn,
        "select pid from pg_stat_activity where application_name = 'latchkey-history' and wait_event_type = 'Lock' "
        "and datname = current_database()",
    )
    return int(rows[0][0]) if rows else None


def _answers(dsn: str) -> list[tuple[object, ...]]:
    """What is stored; empty while the server recovers."""
    try:
        return ask(dsn, STAMPS)
    except psycopg.OperationalError:
        return []


async def _append_when_up(history: PostgresHistory, batch: HistoryBatch) -> int:
    async def doubled() -> tuple[int] | None:
        try:
            return ((await history.append(batch)).doubled,)
        except StoreUnavailable:
            return None

    answer: tuple[int] | None = await until_async(doubled)
    assert answer is not None
    return answer[0]
