"""Migrated databases for test after test: the one before is emptied and used again, since a copy costs a second."""

from dataclasses import dataclass

import psycopg
from psycopg import sql

from cli.servers.postgres import PrivatePostgres, database_name
from tests.support.kept_connection import KEPT

TABLES = """
    select relname, relispartition from pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
"""
SHAPE = """
    with ours as (select * from pg_class where relnamespace = 'public'::regnamespace)
    select concat_ws(',', relname, relkind, relpersistence, reloptions,
                     case when relkind = 'v' then pg_get_viewdef(oid) end) from ours
    union all select concat_ws(',', attrelid::regclass, attname, atttypid, attnotnull, atthasdef) from pg_attribute
    where attrelid in (select oid from ours)
    union all select concat_ws(',', conrelid::regclass, conname, pg_get_constraintdef(oid)) from pg_constraint
    where connamespace = 'public'::regnamespace
    union all select concat_ws(',', tgrelid::regclass, tgname, tgenabled, tgfoid::regproc) from pg_trigger
    where tgrelid in (select oid from ours)
    union all select concat_ws(',', oid::regprocedure, md5(prosrc)) from pg_proc
    where pronamespace = 'public'::regnamespace and prokind in ('f', 'p')
    union all select concat_ws(',', setdatabase, setrole, setconfig) from pg_db_role_setting
    union all select nspname from pg_namespace where nspname !~ '^pg_'
    order by 1
"""
"""All that a test may have made, dropped, switched off or set."""
EXTENSION_TABLES = """
    select oid::regclass::text from pg_class where relkind = 'r' and relnamespace::regnamespace::text ~ '^_timescaledb'
    and relname in ('bgw_job', 'chunk', 'dimension', 'hypertable', 'continuous_aggs_watermark') order by 1
"""
"""What TimescaleDB knows of hypertables, their pieces, what was aggregated, and jobs."""
BEGIN_SEQUENCES_AGAIN = """
    select setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false) from pg_sequences
    where schemaname = 'public' and last_value is not null
"""


FEW_PAGES = 4
SHORT = """
    select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' and not relhassubclass
    and pg_relation_size(oid) <= %s * current_setting('block_size')::int
"""
"""Those of a few pages, what was deleted before included. To delete the rows of one is cheap; to truncate it makes new
files, for all its indexes and for every table that refers to it, and looks for the old ones in all of the cache."""


@dataclass(frozen=True, slots=True)
class State:
    """What a database is, beside the rows of tables that are empty at first."""

    shape: tuple[tuple[object, ...], ...]
    partitions: frozenset[str]
    rows: dict[str, bytes]
    """Of the tables that the migrations fill."""


class SpareDatabases:
    """Hands out databases that are as the migrations leave them."""

    def __init__(self, postgres: PrivatePostgres, template: str) -> None:
        self._postgres = postgres
        self.template = template
        """The name of what they are copies of."""
        self._spare: list[str] = []
        self._pristine: State | None = None

    def take(self) -> str:
        """The dsn of one that nobody else has."""
        if self._spare:
            return self._spare.pop()
        dsn = self._postgres.create_database(template=self.template)
        if self._pristine is None:
            with psycopg.connect(dsn, autocommit=True) as connection:
                self._pristine = _state(connection, _filled(connection))
        return dsn

    def give_back(self, dsn: str) -> None:
        """Emptied for the next who asks, or dropped when more than rows has changed in it."""
        assert self._pristine is not None
        try:
            with KEPT.to(dsn) as connection:
                connection.execute("discard all")
                _end_all_others(connection, database_name(dsn))
                _empty(connection, self._pristine)
                as_before = _is(connection, self._pristine)
                connection.execute("discard all")
        except psycopg.Error:
            as_before = False
        if as_before:
            self._spare.append(dsn)
        else:
            KEPT.close()
            self._postgres.drop_database(dsn)


def _end_all_others(connection: psycopg.Connection, name: str) -> None:
    connection.execute(
        "select pg_terminate_backend(pid, 10000) from pg_stat_activity"
        " where datname = %s and pid <> pg_backend_pid() and backend_type = 'client backend'",
        (name,),
    )


def _empty(connection: psycopg.Connection, pristine: State) -> None:
    """Leaves only the rows of the migrations."""
    connection.execute("set lock_timeout = '10s'")
    # Some tables have triggers against being emptied, which do not fire in a replica.
    connection.execute("set session_replication_role = replica")
    for one in _tables(connection, partitions=True) - pristine.partitions:
        connection.execute(sql.SQL("drop table {}").format(sql.Identifier(one)))
    changed = _filled(connection) - {
        one for one, rows in pristine.rows.items() if _copied(connection, one) == rows
    }
    short = changed & {name for (name,) in connection.execute(SHORT, (FEW_PAGES,)).fetchall()}
    for one in sorted(short):
        connection.execute(sql.SQL("delete from {}").format(sql.Identifier(one)))
    if long := changed - short:
        names = sql.SQL(", ").join(map(sql.Identifier, sorted(long)))
        connection.execute(sql.SQL("truncate {} cascade").format(names))
    for one in changed & pristine.rows.keys():
        with connection.cursor().copy(sql.SQL("copy {} from stdin").format(sql.Identifier(one))) as copy:
            copy.write(pristine.rows[one])
    connection.execute(BEGIN_SEQUENCES_AGAIN.encode())


def _is(connection: psycopg.Connection, pristine: State) -> bool:
    filled = _filled(connection)
    return (
        filled == {one for one in pristine.rows if "." not in one} and _state(connection, filled) == pristine
    )


def _state(connection: psycopg.Connection, filled: set[str]) -> State:
    told = [name for (name,) in connection.execute(EXTENSION_TABLES.encode()).fetchall()]
    return State(
        tuple(connection.execute(SHAPE.encode()).fetchall()),
        frozenset(_tables(connection, partitions=True)),
        {one: _copied(connection, one) for one in (*sorted(filled), *told)},
    )


def _tables(connection: psycopg.Connection, *, partitions: bool) -> set[str]:
    return {name for name, part in connection.execute(TABLES.encode()).fetchall() if part is partitions}


def _filled(connection: psycopg.Connection) -> set[str]:
    """The tables that have rows."""
    asked = sql.SQL(" union all ").join(
        sql.SQL("select {} where exists (select 1 from {})").format(sql.Literal(one), sql.Identifier(one))
        for one in sorted(_tables(connection, partitions=False))
    )
    return {name for (name,) in connection.execute(asked).fetchall()}


def _copied(connection: psycopg.Connection, table: str) -> bytes:
    """All rows as text, in the order in which they lie there."""
    with connection.cursor().copy(f"copy (select * from {table}) to stdout".encode()) as copy:
        return b"".join(bytes(piece) for piece in copy)
