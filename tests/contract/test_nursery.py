"""Forked gateways are processes like others: killed, ended, and gone with the test that started them."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from cli.child_process import ChildProcess
from cli.servers.process_tree import is_gone
from cli.stack import CHECKOUT, inherited_environment
from tests.support.lonely_gateway import lonely_environment
from tests.support.nursery import forked
from tests.support.waiting import until

BEGINS_ONE_AND_WAITS = """
import json, sys, time
from pathlib import Path
from cli.child_process import ChildProcess
from tests.support.nursery import forked
environment, folder = json.loads(sys.argv[1]), Path(sys.argv[2])
process = ChildProcess(["gateway"], environment, folder, spawn=forked)
process.start_without_waiting()
print(process.pid, flush=True)
if sys.argv[3] == "wait":
    time.sleep(600)
"""


@pytest.fixture
def environment() -> dict[str, str]:
    return {**inherited_environment(), **lonely_environment()}


def test_it_says_what_it_says_in_its_own_files_and_ends_when_told(
    environment: dict[str, str], tmp_path: Path
) -> None:
    process = ChildProcess(["gateway"], environment, tmp_path, spawn=forked)
    process.start_without_waiting()
    until(lambda: process.log_tail(), what="its first line")
    process.freeze()
    process.kill()
    assert not process.running
    assert process.stop() == -signal.SIGKILL
    process.thaw()


@pytest.mark.parametrize("then", ["wait", "end"])
def test_none_outlives_the_process_that_asked_for_it(
    environment: dict[str, str], tmp_path: Path, then: str
) -> None:
    """Killed with -9, or come to its end without having ended what it started."""
    command = [sys.executable, "-c", BEGINS_ONE_AND_WAITS, json.dumps(environment), str(tmp_path), then]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        try:
            if then == "wait":
                parent.kill()
            parent.wait(60)
            until(lambda: is_gone(pid), what="the fork is gone")
        finally:
            parent.kill()
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
