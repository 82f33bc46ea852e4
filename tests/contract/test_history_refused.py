"""Rows that PostgreSQL refuses are found by halves."""

import psycopg
import pytest

from gateway.stores import history_refused, history_staging
from gateway.stores.history_refused import all_refused
from gateway.stores.history_staging import STAGE_TABLE
from tests.support.stored import a_row, ask


@pytest.mark.parametrize("bad", [{1}, {2}, {500}, {511}, {512}, {1, 2, 257, 512}])
async def test_refused_rows_are_found_in_two_trials_per_halving(
    database: str, monkeypatch: pytest.MonkeyPatch, bad: set[int]
) -> None:
    ask(database, "alter table report add constraint poison check (battery_pct <> 13)")
    rows = [a_row(seq, battery_pct=13 if seq in bad else 50) for seq in range(1, 513)]
    trials = 0
    store_staged = history_staging.store_staged

    async def counted(connection: psycopg.AsyncConnection, some: list[object]) -> object:
        nonlocal trials
        trials += 1
        return await store_staged(connection, some)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(history_refused, "store_staged", counted)
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        await connection.execute(STAGE_TABLE)
        refused = await all_refused(connection, rows)
    assert [one.row.seq for one in refused] == sorted(bad)
    assert all("poison" in one.why for one in refused)
    assert trials <= 1 + 2 * 9 * len(bad)
    assert ask(database, "select count(*) from report") == [(0,)]


async def test_good_rows_are_not_refused(database: str) -> None:
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        await connection.execute(STAGE_TABLE)
        assert await all_refused(connection, [a_row(seq) for seq in range(10)]) == []
