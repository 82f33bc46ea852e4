"""Processes of our own that a measurement or a fault trial starts, awaits and ends by id."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

READY_WITHIN_S = 60.0


class Child:
    """One of our own processes, started by the module that `./latchkey` would start."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], log_file: Path) -> None:
        self._log = log_file.open("ab")
        self.started_s = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        self.log_file = log_file

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def read_line(self, within_s: float = READY_WITHIN_S) -> str:
        """The next line on its stdout. Raises TimeoutError, or RuntimeError when it ended."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], within_s)
        if not ready:
            raise TimeoutError(f"no line from process {self.pid} within {within_s} s: see {self.log_file}")
        line = self._process.stdout.readline().decode()
        if not line:
            self._process.wait()
            raise RuntimeError(f"process ended with {self._process.returncode}: see {self.log_file}")
        return line.rstrip("\n")

    def wait_ready(self) -> dict[str, Any]:
        """The JSON line a gateway or API process prints when it serves."""
        while True:
            line = self.read_line()
            if line.startswith("{"):
                ready = json.loads(line)
                if ready.get("event") == "ready":
                    return dict(ready)

    def say(self, line: str) -> None:
        """Writes one line to its stdin."""
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal; nothing happens when the process has ended."""
        if self.running:
            self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and reap."""
        self.signal(signal.SIGKILL)
        self._close()

    def stop(self, within_s: float = 15.0) -> int:
        """SIGTERM, and its exit code; killed (and TimeoutError) when it does not end in time."""
        self.signal(signal.SIGTERM)
        try:
            code = self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise TimeoutError(f"process {self.pid} did not end in {within_s} s after SIGTERM") from None
        self._close()
        return code

    def _close(self) -> None:
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._log.close()


@contextmanager
def child(arguments: Sequence[str], environment: Mapping[str, str], log_file: Path) -> Iterator[Child]:
    """A process that does not outlive the block."""
    process = Child(arguments, environment, log_file)
    try:
        yield process
    finally:
        process.kill()
