"""An API process whose clock jumps past the longest silence on SIGUSR1, so that no test has to wait for it."""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from api.app import main
from api.live.relay import SILENT_AFTER_S
from cli.child_process import ChildProcess
from gateway.clock import SystemClock

JUMP_S = SILENT_AFTER_S


class HurriedClock(SystemClock):
    """The machine's clock, and what it was put ahead."""

    ahead_s = 0.0

    def monotonic_s(self) -> float:
        return super().monotonic_s() + HurriedClock.ahead_s

    @staticmethod
    def jump(*_: object) -> None:
        HurriedClock.ahead_s += JUMP_S


def put_ahead(process: ChildProcess) -> None:
    """For this process, JUMP_S go by at once."""
    os.kill(process.pid, signal.SIGUSR1)


@contextmanager
def hurried_api(environment: Mapping[str, str], folder: Path) -> Iterator[ChildProcess]:
    """A ready API, the whole of it but its clock; ended at the end."""
    process = ChildProcess(["api"], environment, folder, module=__name__)
    try:
        yield process.start()
    finally:
        process.close()


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, HurriedClock.jump)
    with patch("api.app.SystemClock", HurriedClock):
        main()
