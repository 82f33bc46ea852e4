"""The database schema brought up to date: numbered SQL files, each applied once, in order."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psycopg

MIGRATIONS = Path(__file__).parent / "migrations"
_FILE_NAME = re.compile(r"^(\d{4})_([a-z0-9_]+?)(?:\.(timescale|plain))?\.sql$")
_LOCK = 0x6C61_7463
"""Any number that nothing else in this database locks."""

TimescaleChoice = Literal["auto", "off", "require"]
Variant = Literal["timescale", "plain"]


class MigrationRefused(Exception):
    """The database and the migration files do not belong together; a person must decide."""


@dataclass(frozen=True, slots=True)
class Migrated:
    """What a migration run found and did."""

    variant: Variant
    applied: tuple[str, ...]
    """Names of the files applied now; empty when the schema was up to date."""
    line: str
    """One line for the log or the terminal: which kind of history, and why."""


@dataclass(frozen=True, slots=True)
class _Migration:
    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrate(dsn: str, timescale: TimescaleChoice = "auto", *, folder: Path = MIGRATIONS) -> Migrated:
    """Applies what is missing, one transaction per file, one process at a time.

    The first run decides for TimescaleDB or plain PostgreSQL and the database keeps that choice for good.
    Raises MigrationRefused, psycopg.Error.
    """
    with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
        _refuse_other_encodings(connection)
        connection.execute("select pg_advisory_lock(%s)", (_LOCK,))
        try:
            connection.execute(
                "create table if not exists schema_migration (number int primary key, name text not null, "
                "checksum text not null, variant text not null, applied_at timestamptz not null default now())"
            )
            variant, why = _variant(connection, timescale)
            applied = _apply(connection, variant, folder)
        finally:
            connection.execute("select pg_advisory_unlock(%s)", (_LOCK,))
        return Migrated(variant, applied, f"history: {why}")


def _refuse_other_encodings(connection: psycopg.Connection) -> None:
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        # Such a database would tell every text as bytes, or refuse some of them one day.
        raise MigrationRefused(
            f"the database's encoding is {encoding}, not UTF8; make another one: "
            "CREATE DATABASE latchkey ENCODING 'UTF8' TEMPLATE template0"
        )


def _variant(connection: psycopg.Connection, timescale: TimescaleChoice) -> tuple[Variant, str]:
    before = connection.execute("select variant from schema_migration order by number limit 1").fetchone()
    plain = "plain PostgreSQL (daily partitions, plain views)"
    if before is None:
        version, why_not = (None, "switched off") if timescale == "off" else _load_timescale(connection)
        if version is None and timescale == "require":
            raise MigrationRefused(f"TimescaleDB is required but {why_not}")
        return (
            ("timescale", f"TimescaleDB {version}")
            if version
            else ("plain", f"{plain}: TimescaleDB is {why_not}")
        )
    if before[0] == "plain":
        if timescale == "require":
            raise MigrationRefused(
                "TimescaleDB is required but this database was migrated for plain PostgreSQL"
            )
        return "plain", f"{plain}, as this database was first migrated"
    if timescale == "off":
        raise MigrationRefused("TimescaleDB is switched off but this database was migrated for it")
    row = connection.execute("select extversion from pg_extension where extname = 'timescaledb'").fetchone()
    if row is None:
        raise MigrationRefused("this database was migrated for TimescaleDB and has lost the extension")
    return "timescale", f"TimescaleDB {row[0]}"


def _load_timescale(connection: psycopg.Connection) -> tuple[str | None, str]:
    """The version of the extension, now created; or why it cannot be had."""
    if not connection.execute("select 1 from pg_available_extensions where name = 'timescaledb'").fetchone():
        return None, "not installed"
    preloaded = connection.execute("select current_setting('shared_preload_libraries')").fetchone()
    if preloaded is None or "timescaledb" not in preloaded[0]:
        return None, "installed but not in shared_preload_libraries"
    try:
        connection.execute("create extension if not exists timescaledb")
    except psycopg.Error as error:
        return None, f"installed but cannot be created: {str(error).splitlines()[0]}"
    licence = connection.execute("select current_setting('timescaledb.license', true)").fetchone()
    if licence is None or licence[0] != "timescale":
        # The Apache edition has neither compression nor continuous aggregates.
        return None, "installed as the Apache edition only"
    row = connection.execute("select extversion from pg_extension where extname = 'timescaledb'").fetchone()
    return (row[0], "") if row else (None, "not there after its creation")


def _apply(connection: psycopg.Connection, variant: Variant, folder: Path) -> tuple[str, ...]:
    known = {number: (name, checksum) for number, name, checksum in _applied(connection)}
    wanted = _migrations(folder, variant)
    beyond = sorted(set(known) - {migration.number for migration in wanted})
    if beyond:
        raise MigrationRefused(
            f"the database has migration {beyond[-1]:04d}, which this version does not know: "
            "the program is older than the database"
        )
    done: list[str] = []
    for migration in wanted:
        if migration.number in known:
            _refuse_change(migration, known[migration.number][1])
            continue
        with connection.transaction():
            # The files are part of the program; nothing in them comes from a peer.
            connection.execute(migration.sql.encode())
            connection.execute(
                "insert into schema_migration (number, name, checksum, variant) values (%s, %s, %s, %s)",
                (migration.number, migration.name, migration.checksum, variant),
            )
        done.append(f"{migration.number:04d}_{migration.name}")
    return tuple(done)


def _applied(connection: psycopg.Connection) -> list[tuple[int, str, str]]:
    return connection.execute(
        "select number, name, checksum from schema_migration order by number"
    ).fetchall()


def _refuse_change(migration: _Migration, applied_checksum: str) -> None:
    if migration.checksum != applied_checksum:
        raise MigrationRefused(
            f"migration {migration.number:04d}_{migration.name} was changed after it was applied "
            f"(applied {applied_checksum[:12]}, file {migration.checksum[:12]}): restore it and add a new one"
        )


def _migrations(folder: Path, variant: Variant) -> list[_Migration]:
    found: dict[int, _Migration] = {}
    for path in sorted(folder.glob("*.sql")):
        parts = _FILE_NAME.match(path.name)
        if parts is None:
            raise MigrationRefused(f"{path.name} is not named NNNN_name[.timescale|.plain].sql")
        if parts[3] not in (None, variant):
            continue
        number = int(parts[1])
        if number in found:
            raise MigrationRefused(f"migration {number:04d} exists twice")
        found[number] = _Migration(number, parts[2], path.read_text(encoding="utf-8"))
    return [found[number] for number in sorted(found)]
