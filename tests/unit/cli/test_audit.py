"""The walk says what it found, and remembers what somebody wrote down."""

import psycopg
import pytest
from typer.testing import CliRunner

from cli import running
from cli.main import application
from gateway.stores.audit import AuditEntry, append_audit_now
from tests.support.stored import ask

APP = application(("audit",))


@pytest.fixture
def asked(database: str, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv(running.POSTGRES_DSN, database)
    with psycopg.connect(database) as connection:
        for number in range(3):
            append_audit_now(connection, AuditEntry(1, "staff:ann", "staff", "test", str(number)))
    return CliRunner()


def test_a_whole_log_is_said_to_be_whole_and_its_end_can_be_kept(asked: CliRunner, database: str) -> None:
    said = asked.invoke(APP, ["audit", "verify"])
    assert said.exit_code == 0
    mark = said.stdout.splitlines()[-1]
    assert mark.startswith("3:")
    assert asked.invoke(APP, ["audit", "verify", "--expect", mark]).exit_code == 0
    other = asked.invoke(APP, ["audit", "verify", "--expect", "2:" + mark[2:]])
    assert (other.exit_code, "not the one" in other.stdout) == (1, True)


def test_the_first_row_that_was_changed_is_named(asked: CliRunner, database: str) -> None:
    ask(database, "alter table audit disable trigger all; update audit set why = 'x' where audit_no = 2")
    said = asked.invoke(APP, ["audit", "verify"])
    assert said.exit_code == 1
    assert said.stdout.startswith("row 2 ")


def test_what_is_expected_has_a_form(asked: CliRunner) -> None:
    assert asked.invoke(APP, ["audit", "verify", "--expect", "nothing"]).exit_code == 2
