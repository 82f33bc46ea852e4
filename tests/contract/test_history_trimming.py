"""History stays bounded, and what is still needed stays."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec import structs

from firmware_protocol.messages import DeviceId, Hello
from gateway.clock import SystemClock
from gateway.ports import HistoryBatch, HistoryRow, QuarantinedFrame, UnitSighting
from gateway.stores import history as history_module
from gateway.stores import history_trimming
from gateway.stores.history import PostgresHistory
from gateway.stores.migrate import migrate
from gateway.stores.registry import PostgresRegistry
from tests.contract.test_registry import StillClock
from tests.support import stored
from tests.support.stored import DAY_MS, ask, doubtful, fresh, register

TODAY_MS = SystemClock().now_ms() // DAY_MS * DAY_MS
NOW_MS = TODAY_MS - 300 * DAY_MS
"""Long ago: no clock of a gateway lets the database forget what is not old by its own."""

LATER_MS = NOW_MS + 95 * DAY_MS
PARTS = "select count(*) from pg_inherits where inhparent = 'report'::regclass"


@pytest.fixture
async def history(database: str) -> AsyncIterator[PostgresHistory]:
    store = PostgresHistory(database)
    yield store
    await store.close()


@pytest.fixture
async def plain(empty_database: str) -> AsyncIterator[PostgresHistory]:
    migrate(empty_database, "off")
    store = PostgresHistory(empty_database)
    yield store
    await store.close()


def a_row(seq: int, **changes: Any) -> HistoryRow:
    """As `stored.a_row`, of long ago."""
    return stored.a_row(seq, **{"at_ms": NOW_MS + seq, "received_ms": NOW_MS + seq, **changes})


async def test_a_gateway_whose_clock_is_ahead_drops_nothing(
    history: PostgresHistory, plain: PostgresHistory, database: str, empty_database: str
) -> None:
    register(database, "c-1")
    today = {"received_ms": TODAY_MS, "boot": TODAY_MS // 1000 - 60}
    rows = [a_row(1, at_ms=TODAY_MS, **today), a_row(2, at_ms=TODAY_MS - 10 * DAY_MS, **today)]
    frames = [QuarantinedFrame("x", "", "malformed", "", TODAY_MS, b"")]
    seen = [UnitSighting("u", 1, slot, TODAY_MS + slot) for slot in (1, 2)]
    await history.append(HistoryBatch(rows, (), frames, seen))
    await plain.append(HistoryBatch(rows, ()))
    for store in (history, plain):
        trimmed = await store.trim(TODAY_MS + 400 * DAY_MS)
        dropped = (trimmed.late_rows, trimmed.quarantined, trimmed.sightings, trimmed.partitions_dropped)
        assert dropped == (0, 0, 0, 0)
    assert ask(database, "select count(*) from report_all") == [(2,)]
    assert ask(empty_database, "select count(*) from report_all") == [(2,)]


async def test_late_rows_go_ninety_days_after_they_came(history: PostgresHistory, database: str) -> None:
    late = a_row(1, at_ms=NOW_MS - 20 * DAY_MS)
    await history.append(
        fresh(late, structs.replace(late, seq=2, received_ms=LATER_MS, at_ms=LATER_MS - 20 * DAY_MS))
    )
    assert (await history.trim(NOW_MS + 89 * DAY_MS)).late_rows == 0
    assert (await history.trim(LATER_MS)).late_rows == 1
    assert ask(database, "select seq from history_late") == [(2,)]


async def test_quarantine_is_bounded_by_age_and_by_rows(
    history: PostgresHistory, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_trimming, "MAX_QUARANTINE_ROWS", 5)
    frames = [QuarantinedFrame("x", "", "malformed", "", NOW_MS + n * DAY_MS, b"") for n in range(10)]
    await history.append(HistoryBatch((), (), frames))
    assert (await history.trim(NOW_MS + 10 * DAY_MS)).quarantined == 5
    assert (await history.trim(NOW_MS + 37 * DAY_MS)).quarantined == 2
    assert ask(database, "select count(*) from quarantine") == [(3,)]


async def test_a_flood_between_two_trims_does_not_outgrow_the_quarantine(
    history: PostgresHistory, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_trimming, "MAX_QUARANTINE_ROWS", 50)
    monkeypatch.setattr(history_trimming, "QUARANTINE_ROWS_AT_ONCE", 40)
    monkeypatch.setattr(history_module, "LOOK_AT_QUARANTINE_EVERY", 20)
    most = 0
    for batch in range(40):
        frames = [QuarantinedFrame(f"{batch}-{n}", "", "malformed", "", NOW_MS, b"") for n in range(10)]
        await history.append(HistoryBatch((), (), frames))
        ((rows,),) = ask(database, "select count(*) from quarantine")
        most = max(most, rows)
    assert 50 <= most <= 50 + 20 + 10
    assert ask(database, "select count(*) from quarantine where device_id = '39-9'") == [(1,)]


async def test_of_a_device_that_draws_ever_new_units_only_the_newest_stay(
    history: PostgresHistory, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_trimming, "MAX_SIGHTINGS_OF_A_DEVICE", 5)
    register(database, "c-1", "c-2")
    seen = [UnitSighting(f"u-{n}", device_no, 1, NOW_MS + n) for n in range(9) for device_no in (1, 2)][:14]
    await history.append(HistoryBatch((), (), sightings=[*seen, UnitSighting("u-9", 1, 1, NOW_MS)]))
    assert (await history.trim(NOW_MS)).sightings == 5
    kept = "select device_no, min(unit_id), count(*) from unit_sighting group by 1 order by 1"
    assert ask(database, kept) == [(1, "u-3", 5), (2, "u-2", 5)]


async def test_where_a_unit_was_seen_last_is_never_forgotten(history: PostgresHistory, database: str) -> None:
    register(database, "c-1")
    seen = [UnitSighting(unit, 1, slot, NOW_MS + slot) for unit in ("u", "v") for slot in (1, 2, 3)]
    await history.append(HistoryBatch((), (), sightings=seen))
    assert (await history.trim(LATER_MS)).sightings == 4
    assert ask(database, "select unit_id, slot from unit_sighting order by 1") == [("u", 3), ("v", 3)]


async def test_a_device_keeps_its_newest_boot(history: PostgresHistory, database: str) -> None:
    register(database, "bike-a")
    registry = PostgresRegistry(database, StillClock())
    name = DeviceId("bike-a")
    for power_on_id in (1, 2):
        record = (await registry.load([name]))[name]
        await registry.give_boots([(record, Hello(power_on_id, "bike-1"))], NOW_MS + power_on_id * 5000)
    await registry.close()
    assert (await history.trim(NOW_MS + 200 * DAY_MS)).boots == 1
    assert ask(database, "select power_on_id from device_boot") == [(2,)]


async def test_plain_partitions_are_made_ahead_and_dropped_whole(
    plain: PostgresHistory, empty_database: str
) -> None:
    await plain.append(fresh(a_row(1)))
    made = ask(empty_database, PARTS)[0][0]
    trimmed = await plain.trim(LATER_MS)
    assert trimmed.partitions_made > 0
    assert 0 < trimmed.partitions_dropped <= made
    assert ask(empty_database, "select count(*) from report") == [(0,)]
    again = await plain.trim(LATER_MS)
    assert (again.partitions_made, again.partitions_dropped) == (0, 0)


async def test_rows_that_waited_elsewhere_move_into_their_partition(
    plain: PostgresHistory, empty_database: str
) -> None:
    await plain.append(fresh(a_row(1)))
    insert = (
        "insert into report (device_no, operator_id, boot, seq, at, received_at, clock_suspect, kept, frame) "
        "select 1, 1, 0, n, to_timestamp(%s), to_timestamp(%s), false, false, '' from generate_series(1, 3) n"
    )
    ask(empty_database, insert, [LATER_MS // 1000, LATER_MS // 1000])
    assert ask(empty_database, "select count(*) from report_elsewhen") == [(3,)]
    await plain.trim(LATER_MS)
    assert ask(empty_database, "select count(*) from report_elsewhen") == [(0,)]
    assert (
        await plain.append(doubtful(a_row(1, boot=0, frame=b"", at_ms=LATER_MS, received_ms=LATER_MS)))
    ).doubled == 1
