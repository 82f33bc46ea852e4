import os
from pathlib import Path

import pytest

from cli.child_process import ChildProcess
from cli.servers.errors import ServerDied, ServerSilent
from cli.servers.process_tree import is_gone
from cli.stack import CHECKOUT

PRETENDED = {
    "ready": 'import json, time\nprint("noise")\nprint(json.dumps({"event": "ready", "http_port": 7}), flush=True)\n'
    "while True: time.sleep(60)\n",
    "crash": 'import sys\nprint("no such setting", file=sys.stderr)\nsys.exit(3)\n',
    "silent": "import time\nwhile True: time.sleep(60)\n",
}


def child(tmp_path: Path, how: str) -> ChildProcess:
    """A child that finds this package `cli` before ours."""
    package = tmp_path / "pretended" / "cli"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(PRETENDED[how])
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(package.parent), "PYTHONSAFEPATH": "1"}
    return ChildProcess(["gateway"], environment, tmp_path / "logs")


def test_it_is_ready_when_it_says_so_and_can_be_ended_in_every_way(tmp_path: Path) -> None:
    process = child(tmp_path, "ready")
    process.start()
    assert process.http_port == 7
    first = process.pid
    process.kill()
    assert is_gone(first)
    process.start()
    process.freeze()
    process.close()
    assert not process.running
    process.start()
    assert process.stop() != 0


def test_one_that_ends_before_it_is_ready_says_what_its_log_says(tmp_path: Path) -> None:
    with pytest.raises(ServerDied, match="no such setting"):
        child(tmp_path, "crash").start()


def test_one_that_says_nothing_is_not_waited_for_without_end(tmp_path: Path) -> None:
    process = child(tmp_path, "silent")
    process.start_without_waiting()
    with pytest.raises(ServerSilent):
        process.wait_ready(deadline_s=0.1)
    process.close()
    assert not process.running


def test_one_that_was_never_started_is_nothing_to_end(tmp_path: Path) -> None:
    process = ChildProcess(["api"], {}, tmp_path)
    process.kill()
    process.close()
    assert CHECKOUT.is_dir()
    with pytest.raises(ProcessLookupError):
        _ = process.pid
