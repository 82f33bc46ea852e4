"""Mistakes are put into a private copy of the sources, one at a time."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.stack import CHECKOUT
from tests.planted.nursery import Nursery
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


@pytest.fixture(scope="module")
def nursery(copy: Path) -> Iterator[Nursery]:
    """Has loaded nothing of the copy itself."""
    started = Nursery(copy, CHECKOUT / ".hypothesis")
    yield started
    started.close()


@pytest.fixture
def planted(copy: Path, nursery: Nursery, plant: Plant) -> Iterator[Nursery]:
    """Runs tests in the copy with the plant in it, which is taken out again at the end."""
    before = {edit.path: (copy / edit.path).read_text() for edit in plant.edits}
    for edit in plant.edits:
        _apply(copy / edit.path, edit)
    yield nursery
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


def must_be_noticed(planted: Nursery, plant: Plant) -> None:
    """Runs the test that is named, in the copy. Raises AssertionError unless it turns red, and for this reason."""
    arguments = ["-q", "-x", "-rfE", "-p", "tests.planted.one_try", "-p", "no:cacheprovider", plant.test]
    run = planted.run(arguments, within_s=100)
    said = f"{plant.name} ({plant.why}):\n{run.printed[-4000:]}"
    assert run.exit_code == pytest.ExitCode.TESTS_FAILED, f"nothing noticed {said}"
    assert f"FAILED {plant.test}" in run.printed, said
    assert not [name for name in NOT_A_FINDING if f"{name}:" in run.printed], said
