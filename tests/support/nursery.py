"""Gateway and API as forks of one process that has loaded them: a test that starts many does not load each anew.

They are processes like others, to kill, freeze and look at, but for their command line, which is the parent's. What is
about starting itself, or about arguments, starts them as a person does. (The parent loads what it finds from the
folder in which the first fork was asked for; what it does not find, each fork loads.)
"""

import atexit
import ctypes
import multiprocessing
import multiprocessing.util
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing import forkserver
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from cli.servers.spawn import Output

LOADED = ("api.app", "cli.api", "cli.gateway", "cli.main", "gateway.app")
_PR_SET_PDEATHSIG = 1

_nursery = multiprocessing.get_context("forkserver")
_nursery.set_forkserver_preload(list(LOADED))


@atexit.register
def _end_all() -> None:
    """Before multiprocessing, whose own hook is older, waits for whatever a test has left behind."""
    for left in multiprocessing.active_children():
        left.kill()


class Fork:
    """As much of a `subprocess.Popen` as whoever starts, stops and awaits a process asks for."""

    def __init__(self, process: ForkServerProcess) -> None:
        assert process.pid is not None
        self.pid = process.pid
        self._process = process

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        wait([self._process.sentinel], timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        # The nursery reaps it first and tells us after.
        with suppress(ProcessLookupError):
            if self.poll() is None:
                os.kill(self.pid, number)


def forked(
    command: Sequence[str], *, cwd: Path, environment: Mapping[str, str], stdout: Output, stderr: Output
) -> Fork:
    """As `cli.servers.spawn.spawn`, for `python -m cli VERB` alone. It dies when this process does."""
    assert list(command[:3]) == [sys.executable, "-m", "cli"], "anything else is not loaded"
    files = [out.name for out in (stdout, stderr) if not isinstance(out, int)]
    assert len(files) == 2, "only a file has a name to be opened by"
    given = (list(command[3:]), str(cwd), dict(environment), *files)
    process = _nursery.Process(target=_live, args=given)
    process.start()
    return Fork(process)


def _live(arguments: list[str], folder: str, environment: dict[str, str], out: str, log: str) -> None:
    os.setsid()
    # The nursery ends with the test process, and we with the nursery: it sees that end once nobody else holds the pipe
    # that tells it, which every child is given.
    nursery = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.close(forkserver._forkserver._forkserver_alive_fd)  # type: ignore[attr-defined]  # it has no other name
    if os.getppid() != nursery:
        return
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in ((1, out), (2, log)):
        opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.dup2(opened, number)
        os.close(opened)
    sys.argv = ["./latchkey", *arguments]
    from cli.main import main

    main()
