import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli import bench
from cli.main import application
from cli.stack import STATE_FOLDER


def run(*arguments: str) -> tuple[int, str]:
    answer = CliRunner().invoke(application(("bench",)), ["bench", *arguments], terminal_width=200)
    return answer.exit_code, answer.output


def test_the_help_teaches_with_lines_to_copy() -> None:
    exit_code, said = run("--help")
    assert exit_code == 0
    assert "./latchkey bench ingest --seconds 60 --json ingest.json" in said
    assert [subject for subject in bench.Subject if f"./latchkey bench {subject}" not in said] == []


@pytest.mark.parametrize("arguments", [("everything",), ("ingest", "--seconds", "0"), ()])
def test_what_cannot_be_measured_is_refused(arguments: tuple[str, ...]) -> None:
    assert run(*arguments)[0] == 2


def test_an_unknown_subject_is_refused_with_those_there_are() -> None:
    said = run("everything")[1]
    assert [subject for subject in bench.Subject if subject not in said] == []


@pytest.mark.e2e
def test_a_measurement_is_written_with_its_floors_and_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "BENCH_FOLDER", STATE_FOLDER / "tests" / f"bench-{os.getpid()}")
    exit_code, said = run("nearby", "--devices", "1000", "--json", str(tmp_path / "nearby.json"))
    result = json.loads((tmp_path / "nearby.json").read_text())
    assert set(result) == {"name", "metrics", "floors", "ratios", "checks"}
    assert result["metrics"]["devices_count"] == 1000
    assert result["floors"]
    assert result["ratios"]
    # Whether it was fast enough is for a quiet machine to say; the exit code says what the checks say.
    assert exit_code == (0 if all(check["passed"] for check in result["checks"]) else 1), said
