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
