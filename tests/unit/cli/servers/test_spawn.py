import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cli.servers.account import Account
from cli.servers.process_tree import is_gone
from cli.servers.spawn import Child, spawn, still_is
from cli.stack import CHECKOUT
from tests.support.waiting import until

ENVIRONMENT = {"PATH": os.environ["PATH"]}
PARENT = """
import subprocess, sys
from pathlib import Path
from cli.servers.spawn import spawn
child = spawn(["sleep", "600"], cwd=Path("/"), environment={"PATH": "/bin:/usr/bin"},
              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(child.pid, flush=True)
sys.stdin.read()
"""


def sleeper() -> Child:
    return spawn(
        ["sleep", "600"],
        cwd=Path("/"),
        environment=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_a_child_dies_with_a_parent_that_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    ) as parent:
        assert parent.stdout is not None
        child_pid = int(parent.stdout.readline())
        assert not is_gone(child_pid)
        parent.kill()
    until(lambda: is_gone(child_pid))


def test_a_process_that_still_bears_another_name_is_known_by_its_program() -> None:
    """As for a moment while it is being replaced: it must not pass for bound then."""
    renamed = "open('/proc/self/comm', 'w').write('another'); print('renamed', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", renamed], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "renamed\n"
        assert still_is(process.pid, sys.executable)
        assert not still_is(process.pid, "/bin/sleep")
        process.kill()
        process.wait()
        assert not still_is(process.pid, sys.executable)


def test_a_child_outlives_the_thread_that_asked_for_it() -> None:
    children: list[Child] = []
    thread = threading.Thread(target=lambda: children.append(sleeper()))
    thread.start()
    thread.join()
    try:
        # The kernel would have sent the signal while the thread ended; a second child proves time went by.
        second = sleeper()
        second.kill()
        second.wait()
        assert children[0].poll() is None
    finally:
        children[0].kill()
        children[0].wait()


def test_a_program_that_is_missing_ends_the_child_and_not_us() -> None:
    child = spawn(
        ["no-such-program-here"],
        cwd=Path("/"),
        environment=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert child.wait() != 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_child_of_another_account_has_its_rights_only() -> None:
    account = Account.for_server("nobody")
    child = spawn(
        ["id", "-u"],
        cwd=Path("/"),
        environment=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        account=account,
    )
    said, _ = child.communicate()
    assert int(said) == account.uid
