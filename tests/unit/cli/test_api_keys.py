"""A key is shown once, listed without its secret, and revoked for good, with a line in the audit log for each."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.auth.api_keys import key_id_of
from cli import running
from cli.main import application
from gateway.stores.audit import Intact, verify_audit
from tests.support.stored import ask


@pytest.fixture
def asked(database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CliRunner:
    monkeypatch.setenv(running.POSTGRES_DSN, database)
    return CliRunner()


def test_a_key_is_made_listed_and_revoked(asked: CliRunner, database: str) -> None:
    app = application(("key",))
    made = asked.invoke(app, ["key", "create", "billing", "--role", "service", "--why", "invoices"])
    assert made.exit_code == 0, made.output
    key = made.stdout.strip()
    listed = asked.invoke(app, ["key", "list"]).stdout
    assert key_id_of(key) in listed
    assert "billing" in listed
    assert key[-43:] not in listed + str(ask(database, "select * from api_key"))
    revoked = asked.invoke(app, ["key", "revoke", key_id_of(key), "--why", "lost"])
    assert revoked.exit_code == 0
    assert "revoked" in asked.invoke(app, ["key", "list"]).stdout
    assert asked.invoke(app, ["key", "revoke", key_id_of(key)]).exit_code == 1
    told = ask(database, "select action, subject, role, why from audit order by audit_no")
    assert told == [
        ("key_create", f"key:{key_id_of(key)}", "console", "invoices"),
        ("key_revoke", f"key:{key_id_of(key)}", "console", "lost"),
    ]
    assert isinstance(verify_audit(database), Intact)


@pytest.mark.parametrize(
    "wrong", [["--role", "rider"], ["--operator", "99"], ["--operator", "0"], ["--days", "-1"]]
)
def test_a_key_that_makes_no_sense_is_refused(asked: CliRunner, wrong: list[str]) -> None:
    assert asked.invoke(application(("key",)), ["key", "create", "x", *wrong]).exit_code != 0
