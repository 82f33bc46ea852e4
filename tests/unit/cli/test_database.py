import pytest
import typer

from cli import running
from cli.database import database


def test_a_database_that_does_not_answer_is_one_sentence_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(running.POSTGRES_DSN, "host=127.0.0.1 port=1 dbname=nobody")
    with pytest.raises(typer.Exit) as ended, database():
        raise AssertionError("there is no server on port 1")
    said = capsys.readouterr().err
    assert ended.value.exit_code == 1
    assert said.startswith("latchkey: PostgreSQL: ")
    assert "./latchkey doctor" in said
