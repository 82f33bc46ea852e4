import socket

import psycopg
import pytest
from typer.testing import CliRunner

from cli.main import application
from cli.stack import Stack


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LATCHKEY_TIMESCALE", raising=False)


def test_an_empty_database_is_migrated_once_and_says_so(stack: Stack, empty_database: str) -> None:
    first = CliRunner().invoke(application(("migrate",)), ["migrate", "--dsn", empty_database])
    assert first.exit_code == 0
    assert "applied 0001_" in first.output
    second = CliRunner().invoke(application(("migrate",)), ["migrate", "--dsn", empty_database])
    assert "up to date" in second.output
    with psycopg.connect(empty_database) as connection:
        assert connection.execute("SELECT count(*) FROM device").fetchone() == (0,)


def test_a_choice_that_does_not_fit_the_database_is_refused_in_one_sentence(
    stack: Stack, empty_database: str
) -> None:
    runner = CliRunner()
    runner.invoke(application(("migrate",)), ["migrate", "--dsn", empty_database, "--timescale", "off"])
    refused = runner.invoke(
        application(("migrate",)), ["migrate", "--dsn", empty_database, "--timescale", "require"]
    )
    assert refused.exit_code == 1
    assert "TimescaleDB is required" in refused.output


def test_a_server_that_is_away_is_said_in_one_line() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        dsn = f"postgresql://127.0.0.1:{port}/latchkey"
        refused = CliRunner().invoke(application(("migrate",)), ["migrate", "--dsn", dsn])
    assert refused.exit_code == 1
    assert refused.output.startswith("latchkey: PostgreSQL: ")
    assert "Traceback" not in refused.output
    assert len(refused.output.splitlines()) == 1
