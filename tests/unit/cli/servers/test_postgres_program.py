from pathlib import Path

import pytest

from cli.servers.errors import StackError
from cli.servers.postgres_program import TimescaleMissing, find_postgres


def pretended(folder: Path, major: int, *, timescale: bool) -> Path:
    """A PostgreSQL that can only say its version and where its extensions are."""
    bin_dir, extensions = folder / "bin", folder / "share" / "extension"
    bin_dir.mkdir()
    extensions.mkdir(parents=True)
    for name, said in (
        ("initdb", ""),
        ("postgres", f"postgres (PostgreSQL) {major}.2 (Debian)"),
        ("pg_config", str(folder / "share")),
    ):
        program = bin_dir / name
        program.write_text(f"#!/bin/sh\necho '{said}'\n")
        program.chmod(0o755)
    if timescale:
        (extensions / "timescaledb.control").touch()
    return bin_dir


def test_the_named_one_is_taken_with_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bin_dir = pretended(tmp_path, 17, timescale=True)
    monkeypatch.setenv("LATCHKEY_POSTGRES_BIN", str(bin_dir))
    found = find_postgres()
    assert (found.bin_dir, found.major, found.timescale) == (bin_dir, 17, True)
    assert not find_postgres("off").timescale


def test_what_is_required_and_absent_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATCHKEY_POSTGRES_BIN", str(pretended(tmp_path, 15, timescale=False)))
    assert not find_postgres("auto").timescale
    with pytest.raises(TimescaleMissing):
        find_postgres("require")


def test_a_folder_without_programs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATCHKEY_POSTGRES_BIN", str(tmp_path))
    with pytest.raises(StackError, match="no initdb"):
        find_postgres()
