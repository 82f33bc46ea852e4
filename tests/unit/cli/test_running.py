import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from cli import running
from cli.stack import CHECKOUT


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (running.POSTGRES_DSN, running.REDIS_URL):
        monkeypatch.delenv(name, raising=False)


def test_what_is_announced_is_known_until_it_is_withdrawn(tmp_path: Path) -> None:
    folder = tmp_path / "up"
    with running.announced(folder, {running.POSTGRES_DSN: "postgresql://x", "PATH": "/bin"}):
        known = running.known_settings(folder)
        assert known[running.POSTGRES_DSN] == "postgresql://x"
        assert "PATH" not in known
        assert (folder / running.RUNNING_NAME).stat().st_mode & 0o077 == 0
    assert running.POSTGRES_DSN not in running.known_settings(folder)


def test_a_run_that_ends_withdraws_only_what_it_said_itself(tmp_path: Path) -> None:
    with running.announced(tmp_path, {running.POSTGRES_DSN: "postgresql://older"}):
        later = running.announced(tmp_path, {running.POSTGRES_DSN: "postgresql://later"})
        later.__enter__()
    assert running.known_settings(tmp_path)[running.POSTGRES_DSN] == "postgresql://later"
    later.__exit__(None, None, None)
    assert running.POSTGRES_DSN not in running.known_settings(tmp_path)


def test_what_a_killed_run_announced_does_not_shadow_a_run_that_lives(tmp_path: Path) -> None:
    left = json.dumps({running.POSTGRES_DSN: "postgresql://killed"})
    (tmp_path / "up").mkdir()
    (tmp_path / "up" / running.RUNNING_NAME).write_text(left)
    with running.announced(tmp_path / "demo", {running.POSTGRES_DSN: "postgresql://lives"}):
        known = running.known_settings(tmp_path / "up", tmp_path / "demo")
    assert known[running.POSTGRES_DSN] == "postgresql://lives"
    assert running.POSTGRES_DSN not in running.known_settings(tmp_path / "up")


def test_a_killed_run_says_nothing_from_then_on(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from cli import running\n"
        f"with running.announced(Path(sys.argv[1]), {{{running.POSTGRES_DSN!r}: 'postgresql://x'}}):\n"
        "    print('announced', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "announced\n"
        assert running.known_settings(tmp_path)[running.POSTGRES_DSN] == "postgresql://x"
        child.kill()
        child.wait()
    assert (tmp_path / running.RUNNING_NAME).exists()
    assert running.POSTGRES_DSN not in running.known_settings(tmp_path)


def test_a_database_named_in_the_environment_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(running.POSTGRES_DSN, "postgresql://own")
    with running.announced(
        tmp_path, {running.POSTGRES_DSN: "postgresql://up", running.REDIS_URL: "redis://up"}
    ):
        known = running.known_settings(tmp_path)
    assert known[running.POSTGRES_DSN] == "postgresql://own"
    assert running.REDIS_URL not in known


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (running.POSTGRES_DSN, "host=db password=hunter2 hunter2"),
        (running.POSTGRES_DSN, "postgresql://u:hunter2@[db/x"),
        (running.REDIS_URL, "redis://:hunter2@db:hunter2/0"),
    ],
)
def test_an_address_that_cannot_be_read_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(typer.BadParameter, match=name) as refused:
        running.setting(name)
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_setting_that_nobody_knows_says_what_to_do() -> None:
    with pytest.raises(typer.BadParameter, match="latchkey up"):
        running.setting("LATCHKEY_NOBODY_SAYS_THIS")
