"""A database is brought up to date once, by one process, and never behind a person's back."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from cli.stack import Stack
from gateway.stores.migrate import MIGRATIONS, MigrationRefused, migrate
from tests.support.stored import ask


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the migrations that a test may change."""
    return Path(shutil.copytree(MIGRATIONS, tmp_path / "migrations"))


def views(dsn: str) -> list[str]:
    found = ask(
        dsn, "select table_name from information_schema.views where table_schema = 'public' order by 1"
    )
    return [name for (name,) in found]


def test_a_second_run_applies_nothing(empty_database: str) -> None:
    first = migrate(empty_database)
    assert [name[:4] for name in first.applied] == sorted(
        {path.name[:4] for path in MIGRATIONS.glob("*.sql")}
    )
    second = migrate(empty_database)
    assert second.applied == ()
    assert second.variant == first.variant


def test_plain_and_timescale_serve_the_same_names(empty_database: str, database: str) -> None:
    migrate(empty_database, "off")
    assert views(empty_database) == views(database) == ["report_1d", "report_1h", "report_1m", "report_all"]
    columns = (
        "select table_name, column_name, data_type from information_schema.columns "
        "where table_name in ('report_1d', 'report_1h', 'report_1m', 'report_all') order by 1, ordinal_position"
    )
    assert ask(empty_database, columns) == ask(database, columns)


def test_processes_that_start_together_migrate_once(empty_database: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        runs = list(threads.map(migrate, [empty_database] * 4))
    assert sum(bool(run.applied) for run in runs) == 1


def test_a_file_that_was_changed_after_it_was_applied_is_refused(empty_database: str, folder: Path) -> None:
    migrate(empty_database, folder=folder)
    changed = folder / "0001_registry.sql"
    changed.write_text(changed.read_text() + "\n-- a word more\n")
    with pytest.raises(MigrationRefused, match="0001_registry was changed"):
        migrate(empty_database, folder=folder)


def test_a_database_from_a_newer_program_is_refused(empty_database: str, folder: Path) -> None:
    (folder / "0999_later.sql").write_text("create table later (one int)")
    migrate(empty_database, folder=folder)
    with pytest.raises(MigrationRefused, match="older than the database"):
        migrate(empty_database)


def test_a_migration_that_fails_leaves_nothing_behind(empty_database: str, folder: Path) -> None:
    broken = folder / "0999_broken.sql"
    broken.write_text("create table half (one int); select 1 / 0;")
    with pytest.raises(Exception, match="division by zero"):
        migrate(empty_database, folder=folder)
    assert ask(empty_database, "select to_regclass('half')") == [(None,)]
    broken.write_text("create table half (one int);")
    assert migrate(empty_database, folder=folder).applied == ("0999_broken",)


@pytest.mark.parametrize("name", ["first.sql", "0001_twice.sql"])
def test_a_file_that_does_not_fit_the_numbers_is_refused(
    empty_database: str, folder: Path, name: str
) -> None:
    (folder / name).write_text("select 1")
    with pytest.raises(MigrationRefused):
        migrate(empty_database, folder=folder)


def test_switched_off_means_plain(empty_database: str) -> None:
    done = migrate(empty_database, "off")
    assert done.variant == "plain"
    assert "plain PostgreSQL" in done.line
    assert "\n" not in done.line


def test_a_plain_database_stays_plain_where_timescale_appears(empty_database: str) -> None:
    migrate(empty_database, "off")
    assert migrate(empty_database, "auto").variant == "plain"
    with pytest.raises(MigrationRefused, match="migrated for plain"):
        migrate(empty_database, "require")


def test_what_is_required_and_absent_is_refused(empty_database: str, stack: Stack) -> None:
    if stack.postgres.timescale:
        assert migrate(empty_database, "require").line.startswith("history: TimescaleDB ")
        with pytest.raises(MigrationRefused, match="switched off"):
            migrate(empty_database, "off")
    else:
        with pytest.raises(MigrationRefused, match="required"):
            migrate(empty_database, "require")


def test_a_database_that_cannot_hold_every_text_is_refused_with_the_way_out(stack: Stack) -> None:
    name = f"lk_{uuid4().hex[:12]}"
    with psycopg.connect(stack.postgres.dsn(), autocommit=True) as connection:
        connection.execute(
            f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        )
    dsn = stack.postgres.dsn(name)
    try:
        with pytest.raises(MigrationRefused, match=r"SQL_ASCII, not UTF8.*ENCODING 'UTF8'"):
            migrate(dsn)
    finally:
        stack.postgres.drop_database(dsn)
