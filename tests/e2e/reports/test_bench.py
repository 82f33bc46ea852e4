"""A measurement on servers of its own, as a person starts it: what it found is written, with its floors and checks."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench import nearby
from cli import bench
from cli.main import application
from cli.stack import STATE_FOLDER


def test_a_measurement_is_written_with_its_floors_and_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "BENCH_FOLDER", STATE_FOLDER / "tests" / f"bench-{os.getpid()}")
    # A tenth: how exactly it measures is for those who want to know.
    monkeypatch.setattr(nearby, "QUESTIONS", 200)
    file = tmp_path / "nearby.json"
    arguments = ["bench", "nearby", "--devices", "1000", "--json", str(file)]
    answer = CliRunner().invoke(application(("bench",)), arguments, terminal_width=200)
    result = json.loads(file.read_text())
    assert set(result) == {"name", "metrics", "floors", "ratios", "checks"}
    assert result["metrics"]["devices_count"] == 1000
    assert result["floors"]
    assert result["ratios"]
    # Whether it was fast enough is for a quiet machine to say; the exit code says what the checks say.
    well = all(check["passed"] for check in result["checks"])
    assert answer.exit_code == (0 if well else 1), answer.output
