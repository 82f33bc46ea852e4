"""A person at a terminal moves a device through its life."""

import psycopg
import pytest
from typer.testing import CliRunner

from cli.main import application
from cli.running import POSTGRES_DSN
from gateway.key_wrapping import new_key_encryption_key


def run(*arguments: str) -> tuple[int, str]:
    answer = CliRunner().invoke(application(("device",)), ["device", *arguments])
    return answer.exit_code, answer.output


@pytest.fixture(autouse=True)
def _device(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(POSTGRES_DSN, database)
    monkeypatch.setenv("LATCHKEY_KEY_ENCRYPTION_KEY", new_key_encryption_key("t"))
    assert run("register", "bike-1", "--model", "m", "--kind", "bike")[0] == 0


def test_a_device_is_suspended_resumed_and_retired(database: str) -> None:
    assert run("suspend", "bike-1", "--why", "stolen") == (0, "bike-1 is suspended\n")
    assert "suspended" in run("show", "bike-1")[1]
    assert run("resume", "bike-1") == (0, "bike-1 is active\n")
    assert run("retire", "bike-1") == (0, "bike-1 is retired\n")
    for verb in ("activate", "suspend", "resume", "retire", "password", "key"):
        exit_code, said = run(verb, "bike-1")
        assert exit_code == 1
        assert "retired" in said
    with psycopg.connect(database) as connection:
        actions = connection.execute("select action, why from audit order by audit_no").fetchall()
    assert actions == [
        ("device_register", ""),
        ("device_suspend", "stolen"),
        ("device_resume", ""),
        ("device_retire", ""),
    ]


def test_password_and_key_are_printed_once() -> None:
    passwords = {run("password", "bike-1")[1].strip() for _ in range(2)}
    assert len(passwords) == 2
    assert run("key", "bike-1", "--overlap-s", "5")[1].startswith("key       2:")
    assert run("key", "bike-1")[1].startswith("key       3:")


def test_an_unknown_device_is_refused_by_name() -> None:
    exit_code, said = run("suspend", "nobody")
    assert exit_code == 1
    assert "no device is called 'nobody'" in said


def test_keys_are_sealed_anew_under_the_newest_key(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("rewrap")[1] == "0 keys were sealed anew\n"
    old = new_key_encryption_key("old")
    monkeypatch.setenv("LATCHKEY_KEY_ENCRYPTION_KEY", old)
    assert run("key", "bike-1", "--overlap-s", "0")[0] == 0
    monkeypatch.setenv("LATCHKEY_KEY_ENCRYPTION_KEY", new_key_encryption_key("new"))
    exit_code, said = run("rewrap")
    assert exit_code == 1
    assert "key-encryption key is not among those given" in said
