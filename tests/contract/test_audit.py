"""Whatever is changed in the log of who did what, the walk along its chain names the place."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import sql

from gateway.stores.audit import (
    BEGINNING,
    AuditEntry,
    AuditLine,
    Broken,
    Intact,
    PostgresAudit,
    append_audit_now,
    audit_form,
    verify_audit,
    walk,
)
from gateway.stores.postgres_link import PostgresLink
from gateway.stores.reading_pool import ReadingPool
from tests.support.stored import ask

ROWS = 100
NUMBERS = range(1, ROWS + 1)

TAMPERINGS = (
    "update audit set actor = 'staff:somebody-else' where audit_no = {}",
    "update audit set why = why || ' ' where audit_no = {}",
    "update audit set after = jsonb_set(after, '{{battery}}', '2') where audit_no = {}",
    "update audit set before = null where audit_no = {}",
    "update audit set at = at - interval '1 microsecond' where audit_no = {}",
    "update audit set operator_id = 2 where audit_no = {}",
    "update audit set subject = action, action = subject where audit_no = {}",
    "update audit set hash = sha256(hash) where audit_no = {}",
    "update audit set role = 'rider', prev_hash = sha256('x') where audit_no = {}",
    "delete from audit where audit_no = {}",
)


def entry(number: int, **changes: object) -> AuditEntry:
    told: dict[str, object] = {
        "operator_id": 1,
        "actor": "staff:ann",
        "role": "staff",
        "action": "command.unlock",
        "subject": f"bike-{number}",
        "why": "stuck, 说明",
        "before": {"bolt": "closed", "battery": 1.50},
        "after": {"z": [1, None], "battery": number},
    }
    return AuditEntry(**(told | changes))  # type: ignore[arg-type]  # made of the fields above


def fill(dsn: str, rows: int = ROWS) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for number in range(rows):
            append_audit_now(connection, entry(number))


def test_every_tampered_row_is_found(database: str) -> None:
    ask(database, "insert into operator values (2, 'two')")
    fill(database)
    assert isinstance(verify_audit(database), Intact)
    # What only the owner of the tables or a superuser can do.
    ask(database, "alter table audit disable trigger all; create table kept as select * from audit")
    found = []
    for number in NUMBERS:
        ask(database, TAMPERINGS[number % len(TAMPERINGS)].format(number))
        found.append(verify_audit(database))
        ask(database, f"delete from audit where audit_no = {number}")
        ask(database, f"insert into audit select * from kept where audit_no = {number}")
    assert [one.number if isinstance(one, Broken) else None for one in found] == list(NUMBERS)
    assert isinstance(verify_audit(database), Intact)


def test_rows_missing_from_the_end_or_added_there_are_found(database: str) -> None:
    fill(database, 5)
    ask(database, "alter table audit disable trigger all; create table kept as select * from audit")
    ask(database, "delete from audit where audit_no > 3")
    assert verify_audit(database) == Broken(4, "is missing")
    ask(database, "insert into audit select * from kept where audit_no > 3")
    ask(database, "update audit_head set audit_no = 4, hash = (select hash from audit where audit_no = 4)")
    assert verify_audit(database) == Broken(5, "is not the row that was written last")


@pytest.mark.parametrize(
    "statement",
    [
        "update audit set why = 'nothing'",
        "delete from audit",
        "truncate audit",
        "delete from audit_head",
        "truncate audit_head",
    ],
)
def test_the_log_is_append_only(database: str, statement: str) -> None:
    fill(database, 1)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        ask(database, statement)
    assert isinstance(verify_audit(database), Intact)


def test_a_role_without_any_right_on_the_log_can_append_to_it_and_nothing_else(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        role = sql.Identifier(f"clerk_{connection.info.dbname[-40:]}")
        connection.execute(sql.SQL("create role {}").format(role))
        try:
            connection.execute(sql.SQL("set role {}").format(role))
            append_audit_now(connection, entry(1))
            for statement in (
                b"insert into audit select * from audit",
                b"update audit_head set audit_no = 0",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)
        finally:
            connection.execute("reset role")
            connection.execute(sql.SQL("drop role {}").format(role))
    assert verify_audit(database) == Intact(1, ask(database, "select hash from audit")[0][0])


def test_all_who_append_at_once_make_one_chain(database: str) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: fill(database, 20), range(8)))
    outcome = verify_audit(database)
    assert isinstance(outcome, Intact)
    assert outcome.rows == 160


def test_what_was_rolled_back_leaves_no_gap(database: str) -> None:
    fill(database, 1)
    with psycopg.connect(database) as connection:
        append_audit_now(connection, entry(2))
        connection.rollback()
    fill(database, 1)
    assert isinstance(verify_audit(database), Intact)
    assert ask(database, "select audit_no from audit order by 1") == [(1,), (2,)]


def test_fields_cannot_flow_into_each_other() -> None:
    assert audit_form(["a", "b,1:c"]) != audit_form(["a,5:b", "c"])
    assert audit_form([None, ""]) == b"-,0:"
    assert audit_form(["说"]) == b"3:\xe8\xaf\xb4"


def test_a_line_that_was_changed_breaks_the_chain_there() -> None:
    lines, previous = list[AuditLine](), BEGINNING
    for number in range(1, 6):
        fields = (str(number), "staff:ann", None)
        hashed = hashlib.sha256(previous + audit_form(fields)).digest()
        lines.append((number, fields, previous, hashed))
        previous = hashed
    assert walk(lines, (5, previous)) == Intact(5, previous)
    number, _, before, own = lines[2]
    lines[2] = (number, ("3", "staff:bob", None), before, own)
    assert walk(lines, (5, previous)) == Broken(3, "says something else than was written")


async def test_each_operator_reads_its_own_rows_newest_first(database: str) -> None:
    ask(database, "insert into operator values (2, 'two')")
    pool, link = ReadingPool(database), PostgresLink(database, name="audit")
    await pool.open()
    try:
        audit = PostgresAudit(link, pool)
        for number in range(4):
            await audit.append(entry(number, operator_id=1 + number % 2, before=None))
        rows = await audit.page(1, None, 10)
        assert [(row.number, row.subject, row.before) for row in rows] == [
            (3, "bike-2", None),
            (1, "bike-0", None),
        ]
        assert rows[0].after == {"z": [1, None], "battery": 2}
        assert [row.number for row in await audit.page(1, 3, 10)] == [1]
    finally:
        await link.close()
        await pool.close()
