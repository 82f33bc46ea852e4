import os
import signal
import subprocess
from pathlib import Path

from cli.servers.process_tree import is_gone, is_stopped, signal_tree, tree, working_below
from tests.support.waiting import until


def test_a_tree_is_found_frozen_and_killed_with_its_children() -> None:
    parent = subprocess.Popen(["sh", "-c", "sleep 600 & sleep 600 & wait"])
    until(lambda: len(tree(parent.pid)) == 3)
    family = tree(parent.pid)
    assert family[0] == parent.pid
    signal_tree(parent.pid, signal.SIGSTOP)
    until(lambda: all(is_stopped(pid) for pid in family))
    assert signal_tree(parent.pid, signal.SIGKILL) == family
    parent.wait()
    until(lambda: all(is_gone(pid) for pid in family))


def test_a_living_process_is_neither_gone_nor_stopped() -> None:
    assert not is_gone(os.getpid())
    assert not is_stopped(os.getpid())


def test_only_the_named_programs_in_the_folder_are_orphans(tmp_path: Path) -> None:
    below = tmp_path / "deep"
    below.mkdir()
    child = subprocess.Popen(["sleep", "600"], cwd=below)
    try:
        until(lambda: working_below(tmp_path, frozenset({"sleep"})) == [child.pid])
        assert working_below(tmp_path, frozenset({"postgres"})) == []
        assert working_below(tmp_path / "else", frozenset({"sleep"})) == []
    finally:
        child.kill()
        child.wait()
