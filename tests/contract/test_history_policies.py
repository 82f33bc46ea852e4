"""What TimescaleDB does by itself: compression, aggregates and retention, each in its own time."""

from datetime import timedelta

import pytest
from msgspec import structs

from gateway.stores.history import PostgresHistory
from tests.support.stored import BOOT, DAY_MS, NOW_MS, a_row, ask, doubtful, fresh

pytestmark = pytest.mark.timescale

JOBS = """
    select proc_name, hypertable_name, schedule_interval, initial_start, config from timescaledb_information.jobs
    where job_id >= 1000 and hypertable_name is not null
"""


def test_compression_waits_for_the_late_window_and_retention_for_ninety_days(database: str) -> None:
    jobs = {(proc, str(table)): config for proc, table, _, _, config in ask(database, JOBS)}
    assert jobs["policy_compression", "report"]["compress_after"] == "8 days"
    assert jobs["policy_retention", "report"]["drop_after"] == "90 days"


def test_no_two_policies_start_together(database: str) -> None:
    minutes = [start.minute + 60 * start.hour for _, _, _, start, _ in ask(database, JOBS)]
    assert len(minutes) == 6
    assert len(set(minutes)) == len(minutes)


def test_every_refresh_looks_back_a_bounded_time_inside_retention(database: str) -> None:
    offsets = [
        config["start_offset"]
        for proc, _, _, _, config in ask(database, JOBS)
        if proc == "policy_refresh_continuous_aggregate"
    ]
    reaches = [ask(database, "select %s::interval", [offset])[0][0] for offset in offsets]
    assert len(reaches) == 3
    assert all(timedelta(days=7) < reach < timedelta(days=90) for reach in reaches)


async def test_rows_that_come_again_into_a_compressed_chunk_are_stored_once(database: str) -> None:
    history = PostgresHistory(database)
    rows = [a_row(seq, device_no=seq % 10 + 1) for seq in range(1000)]
    await history.append(fresh(*rows))
    compressed = ask(database, "select compress_chunk(chunk) from show_chunks('report') chunk")
    assert compressed
    again = [structs.replace(row, received_ms=NOW_MS + 9 * DAY_MS) for row in rows]
    other = PostgresHistory(database)
    assert (await history.append(fresh(*rows))).doubled == len(rows)
    assert (await other.append(doubtful(*again))).doubled == len(rows)
    reused = await history.append(doubtful(a_row(3, device_no=4, frame=b"other")))
    assert reused.stamp_reused == {(4, BOOT, 3)}
    assert ask(database, "select count(*) from report_all") == [(len(rows),)]
    await history.close()
    await other.close()


async def test_aggregates_are_the_same_before_and_after_they_are_refreshed(database: str) -> None:
    history = PostgresHistory(database)
    await history.append(
        fresh(*(a_row(n, at_ms=NOW_MS + n * 20_000, battery_pct=n % 100) for n in range(500)))
    )
    await history.close()
    for view in ("report_1m", "report_1h", "report_1d"):
        before = ask(database, f"select * from {view} order by bucket")
        ask(database, f"call refresh_continuous_aggregate('{view}', null, null)")
        assert ask(database, f"select * from {view} order by bucket") == before
