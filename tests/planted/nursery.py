"""Test runs as forks of one process that has loaded pytest and the packages of others, and nothing of ours.

The module is a program too, started in a copy of the sources: for each line that it reads, the file for what is printed
and pytest's arguments, it forks a run, says its process id, and once that has ended its exit code.
"""

import gc
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

WARM_UP = "tests/planted/warm_up.py"
OURS = ("api", "bench", "cli", "device_sim", "firmware_protocol", "gateway", "geo", "tests.conftest")


class Ended(NamedTuple):
    """What became of one run."""

    exit_code: int
    printed: str


class Nursery:
    """Runs pytest in a copy of the sources, each time in a process of its own."""

    def __init__(self, copy: Path, remembered: Path) -> None:
        """`remembered` is where hypothesis keeps what it has read out of the same sources before."""
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))},
            "PYTHONPATH": str(copy),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HYPOTHESIS_STORAGE_DIRECTORY": str(remembered),
        }
        self._printed = copy / "printed.txt"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.planted.nursery"],
            cwd=copy,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )

    def run(self, arguments: Sequence[str], *, within_s: float) -> Ended:
        """Raises TimeoutError, and the run is killed."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{json.dumps([str(self._printed), *arguments])}\n".encode())
        pid = self._said(within_s)
        try:
            exit_code = self._said(within_s)
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            self._said(within_s)
            raise
        return Ended(exit_code, self._printed.read_text(errors="replace"))

    def _said(self, within_s: float) -> int:
        stdout = self._process.stdout
        assert stdout is not None
        if not select.select([stdout], [], [], within_s)[0]:
            raise TimeoutError(f"nothing said within {within_s} s")
        line = stdout.readline()
        assert line, "the nursery has ended"
        return int(line)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def main() -> None:
    copy = Path.cwd()
    said = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    exit_code = pytest.main(["-q", "--noconftest", "-p", "no:cacheprovider", WARM_UP])
    assert exit_code == pytest.ExitCode.OK, exit_code
    loaded = [name for name in OURS if name in sys.modules]
    assert not loaded, f"{loaded} would be the same with and without a mistake in it"
    # What is there now lives for ever: no fork needs to look at it, and with that copy it.
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        printed, *arguments = json.loads(line)
        pid = os.fork()
        if not pid:
            _live(copy, arguments, printed)
        os.write(said, b"%d\n" % pid)
        _, status = os.waitpid(pid, 0)
        os.write(said, b"%d\n" % os.waitstatus_to_exitcode(status))


def _live(copy: Path, arguments: list[str], printed: str) -> None:
    """As `python -m pytest` in a process of its own: its exit code is the process's."""
    out = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, opened in enumerate((nothing, out, out)):
        os.dup2(opened, number)
    os.chdir(copy)
    sys.argv = ["pytest", *arguments]
    sys.exit(pytest.main(arguments))


if __name__ == "__main__":
    main()
