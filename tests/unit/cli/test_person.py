"""Who asks to be forgotten is; what they did stays under an id that leads nowhere."""

import pytest
from typer.testing import CliRunner

from cli import running
from cli.main import application
from tests.support.stored import ask

APP = application(("person",))
PERSON = "abcdefghij2345abcdef"


@pytest.fixture
def asked(database: str, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv(running.POSTGRES_DSN, database)
    ask(
        database,
        "insert into person (person_id, operator_id, wechat_hash) values (%s, 1, sha256('x'))",
        (PERSON,),
    )
    return CliRunner()


def test_a_person_is_forgotten_once(asked: CliRunner, database: str) -> None:
    assert asked.invoke(APP, ["person", "erase", PERSON, "--why", "asked to"]).exit_code == 0
    assert ask(database, "select wechat_hash, erased_at is not null from person") == [(None, True)]
    assert ask(database, "select subject from revocation") == [(PERSON,)]
    assert asked.invoke(APP, ["person", "erase", PERSON]).exit_code == 1
    assert ask(database, "select action, subject from audit") == [("person_erase", f"person:{PERSON}")]


def test_tokens_are_taken_back(asked: CliRunner, database: str) -> None:
    assert asked.invoke(APP, ["person", "revoke", "ann", "--why", "left"]).exit_code == 0
    assert ask(database, "select operator_id, subject from revocation") == [(1, "ann")]
    assert asked.invoke(APP, ["person", "revoke", "ann", "--operator", "9"]).exit_code == 1
