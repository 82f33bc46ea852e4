"""Codes for a factory are printed once and kept only as hashes."""

import psycopg
import pytest
from typer.testing import CliRunner

from cli.main import application
from cli.running import POSTGRES_DSN
from gateway.key_wrapping import new_key_encryption_key


def run(*arguments: str) -> tuple[int, str]:
    answer = CliRunner().invoke(application(("device",)), ["device", *arguments])
    return answer.exit_code, answer.output


def test_codes_are_all_different_and_nowhere_else(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(POSTGRES_DSN, database)
    monkeypatch.setenv("LATCHKEY_KEY_ENCRYPTION_KEY", new_key_encryption_key("t"))
    assert run("register", "bike-1", "--model", "m", "--kind", "bike")[0] == 0
    exit_code, said = run("enrol-code", "--model", "m", "--count", "20")
    codes = said.split()
    assert (exit_code, len(set(codes))) == (0, 20)
    with psycopg.connect(database) as connection:
        kept = str(connection.execute("select * from enrolment_code").fetchall())
        kept += str(connection.execute("select * from audit").fetchall())
    assert not [code for code in codes if code in kept]
    exit_code, said = run("enrol-code", "--model", "unheard_of")
    assert exit_code == 1
    assert "no model 'unheard_of'" in said
