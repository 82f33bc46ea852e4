import psycopg
import pytest

from cli.servers.errors import StaleFolder
from cli.servers.postgres import database_name
from cli.stack import Stack


def setting(connection: psycopg.Connection, name: str) -> str:
    row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
    assert row is not None
    return str(row[0])


def test_a_commit_is_on_disk_and_strangers_stay_out(stack: Stack) -> None:
    with psycopg.connect(stack.postgres.dsn()) as connection:
        assert setting(connection, "fsync") == "on"
        assert setting(connection, "synchronous_commit") == "on"
        assert setting(connection, "listen_addresses") == "127.0.0.1"
        assert setting(connection, "unix_socket_directories") == ""
        kept = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'latchkey'").fetchone()
        assert kept is not None
        assert kept[0].startswith("SCRAM-SHA-256$1:")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(f"postgresql://latchkey:wrong@127.0.0.1:{stack.postgres.port}/postgres")


def test_databases_are_fresh_and_go_even_while_in_use(stack: Stack) -> None:
    first, second = stack.create_database(), stack.create_database()
    assert first != second
    connection = psycopg.connect(first)
    assert connection.execute("SELECT count(*) FROM pg_class WHERE relname = 'device'").fetchone() == (0,)
    stack.postgres.drop_database(first)
    connection.close()
    stack.postgres.drop_database(second)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(first)


def test_a_named_database_is_made_once(stack: Stack) -> None:
    dsn = stack.postgres.ensure_database("kept")
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE mark (n int)")
    assert stack.postgres.ensure_database("kept") == dsn
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT count(*) FROM mark").fetchone() == (0,)
    stack.postgres.drop_database(dsn)


def test_a_sealed_template_can_be_copied_and_not_entered(stack: Stack) -> None:
    dsn = stack.create_database()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE mark AS SELECT 7 AS n")
    name = stack.postgres.seal_as_template(dsn)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(dsn)
    copy = stack.postgres.create_database(template=name)
    with psycopg.connect(copy) as connection:
        assert connection.execute("SELECT n FROM mark").fetchone() == (7,)
    stack.postgres.drop_database(copy)
    stack.postgres.drop_database(dsn)


def test_a_cluster_of_another_version_is_not_taken_over(stack: Stack) -> None:
    version = stack.postgres.data_dir / "cluster" / "PG_VERSION"
    before = version.read_text()
    version.write_text("9\n")
    try:
        with pytest.raises(StaleFolder, match="made by PostgreSQL 9"):
            stack.postgres.prepare()
    finally:
        version.write_text(before)


def test_the_database_of_an_address_is_its_last_part() -> None:
    assert database_name("postgresql://u:p@127.0.0.1:1/lk_1?application_name=x") == "lk_1"
    with pytest.raises(ValueError):
        database_name("postgresql:")
