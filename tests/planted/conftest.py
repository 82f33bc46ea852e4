"""Mistakes are put into a private copy of the sources, one at a time."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.stack import CHECKOUT
from tests.planted.plant import Edit, Plant

COPIED = (
    "api", "bench", "cli", "deploy", "device_sim", "firmware_protocol", "gateway", "geo", "tests",
    "pyproject.toml", "latchkey",
)  # fmt: skip
NOT_A_FINDING = (
    "NameError",
    "ImportError",
    "ModuleNotFoundError",
    "SyntaxError",
    "IndentationError",
    "TypeError",
)
"""A plant that merely breaks the program would turn any test red."""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private copy of the sources, compiled files with it: unchanged modules need not be compiled again."""
    root = tmp_path_factory.mktemp("planted")
    for name in COPIED:
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("node_modules", "vectors.tmp"))
        else:
            shutil.copy2(source, root / name)
    return root


@pytest.fixture
def planted(copy: Path, plant: Plant) -> Iterator[Path]:
    """The copy with the plant in it; taken out again at the end."""
    before = {edit.path: (copy / edit.path).read_text() for edit in plant.edits}
    for edit in plant.edits:
        _apply(copy / edit.path, edit)
    yield copy
    for path, text in before.items():
        _write(copy / path, text)


def _apply(path: Path, edit: Edit) -> None:
    text = path.read_text()
    count = text.count(edit.old)
    assert count == 1, f"{edit.path} has this {count} times instead of once, mend the plant: {edit.old!r}"
    _write(path, text.replace(edit.old, edit.new))


def _write(path: Path, text: str) -> None:
    """Compiled files are told from stale ones by a time in whole seconds: this one's goes."""
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
        compiled.unlink()
    path.write_text(text)
    if path.suffix == ".py":
        compile(text, path, "exec")


def must_be_noticed(planted: Path, plant: Plant) -> None:
    """Runs the test that is named, in the copy. Raises AssertionError unless it turns red, and for this reason."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))},
        "PYTHONPATH": str(planted),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-rfE", "-p", "tests.planted.one_try"]
    command += ["-p", "no:cacheprovider", plant.test]
    run = subprocess.run(
        command, cwd=planted, env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    said = f"{plant.name} ({plant.why}):\n{run.stdout[-3000:]}{run.stderr[-1000:]}"
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, f"nothing noticed {said}"
    assert f"FAILED {plant.test}" in run.stdout, said
    assert not [name for name in NOT_A_FINDING if f"{name}:" in run.stdout], said
