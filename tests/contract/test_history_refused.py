"""A row that PostgreSQL refuses is found by halves."""

import psycopg
import pytest

from gateway.stores import history_refused, history_staging
from gateway.stores.history_refused import first_refused
from gateway.stores.history_staging import STAGE_TABLE
from tests.support.stored import a_row, ask


@pytest.mark.parametrize("bad", [1, 2, 500, 511, 512])
async def test_the_refused_row_is_found_in_as_many_trials_as_halvings(
    database: str, monkeypatch: pytest.MonkeyPatch, bad: int
) -> None:
    ask(database, "alter table report add constraint poison check (battery_pct <> 13)")
    rows = [a_row(seq, battery_pct=13 if seq == bad else 50) for seq in range(1, 513)]
    trials = 0
    store_staged = history_staging.store_staged

    async def counted(connection: psycopg.AsyncConnection, some: list[object]) -> object:
        nonlocal trials
        trials += 1
        return await store_staged(connection, some)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(history_refused, "store_staged", counted)
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        await connection.execute(STAGE_TABLE)
        refused = await first_refused(connection, rows)
    assert refused is not None
    assert refused.row == rows[bad - 1]
    assert "poison" in refused.why
    assert trials <= 1 + 9
    assert ask(database, "select count(*) from report") == [(0,)]


async def test_good_rows_are_not_refused(database: str) -> None:
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        await connection.execute(STAGE_TABLE)
        assert await first_refused(connection, [a_row(seq) for seq in range(10)]) is None
