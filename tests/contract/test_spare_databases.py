"""Whatever a test does to its database, the next one gets a database as the migrations leave it."""

import psycopg
import pytest

from cli.stack import Stack
from tests.support.spare_databases import SpareDatabases
from tests.support.stored import a_row, ask, register

REGISTERED = "select coalesce(max(device_no), 0) from device"
TRACES = (
    ("insert into operator values (7, 'seven')", "select operator_id from operator"),
    ("update audit_head set audit_no = 3", "select audit_no from audit_head"),
    ("delete from operator", "select count(*) from operator"),
    ("select nextval('device_device_no_seq')", "select last_value, is_called from device_device_no_seq"),
    ("create table left_behind (n int)", "select to_regclass('left_behind')"),
    ("drop table outbox", "select to_regclass('outbox') is null"),
    ("alter table audit disable trigger all", "select distinct tgenabled from pg_trigger where not tgisinternal"),
    ("alter table report add constraint poison check (battery_pct <> 13)", "select count(*) from pg_constraint"),
    ("create or replace function latchkey_instant(unix_ms bigint) returns timestamptz language sql"
     " as 'select null::timestamptz'", "select md5(prosrc) from pg_proc where proname = 'latchkey_instant'"),
    ("create schema left_behind", "select count(*) from pg_namespace where nspname = 'left_behind'"),
    ("insert into report (device_no, operator_id, boot, seq, at, received_at, clock_suspect, kept, frame)"
     " values (1, 1, 1, 1, now(), now(), false, false, '')", "select count(*) from report_all"),
    ("select latchkey_make_partitions('2031-01-01', '2031-01-03')", "select count(*) from pg_inherits"),
)  # fmt: skip


@pytest.fixture
def few(stack: Stack, databases: SpareDatabases) -> SpareDatabases:
    """Of which nobody has used any."""
    return SpareDatabases(stack.postgres, databases.template)


@pytest.mark.parametrize(("trace", "question"), TRACES)
def test_no_trace_is_left_to_the_next(few: SpareDatabases, trace: str, question: str) -> None:
    dsn = few.take()
    before = ask(dsn, question)
    ask(dsn, trace)
    few.give_back(dsn)
    following = few.take()
    assert ask(following, question) == before
    few.give_back(following)


def test_where_only_rows_came_it_is_the_same_database_again(few: SpareDatabases) -> None:
    dsn = few.take()
    register(dsn, "d1", "d2")
    few.give_back(dsn)
    assert few.take() == dsn
    assert ask(dsn, REGISTERED) == [(0,)]
    register(dsn, "d3")
    assert ask(dsn, REGISTERED) == [(a_row(1).device_no,)]
    few.give_back(dsn)


def test_a_table_that_grew_long_is_as_empty_as_a_short_one(few: SpareDatabases) -> None:
    dsn = few.take()
    register(dsn, *(f"d{number}" for number in range(2_000)))
    few.give_back(dsn)
    assert few.take() == dsn
    assert ask(dsn, REGISTERED) == [(0,)]
    assert ask(dsn, "select pg_relation_size('device')") == [(0,)]
    few.give_back(dsn)


def test_two_at_once_are_two(few: SpareDatabases) -> None:
    first, second = few.take(), few.take()
    assert first != second
    few.give_back(first)
    few.give_back(second)


def test_who_is_still_connected_is_shut_out(few: SpareDatabases) -> None:
    dsn = few.take()
    with psycopg.connect(dsn) as left_open:
        left_open.execute("lock table device")
        few.give_back(dsn)
        with pytest.raises(psycopg.OperationalError):
            left_open.execute("select 1")
    assert few.take() == dsn
    few.give_back(dsn)
