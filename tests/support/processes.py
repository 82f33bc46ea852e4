"""Gateway and api as child processes: started, their ready line awaited, killed, stopped, their output kept."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cli.servers.process_tree import signal_tree
from cli.servers.spawn import Child, spawn
from cli.stack import CHECKOUT
from tests.support.waiting import until

READY_DEADLINE_S = 60.0
STOP_DEADLINE_S = 30.0
TAIL_CHARS = 4_000


class ProcessFailed(AssertionError):
    """A child ended, or said nothing, when it should have been ready."""


class Process:
    """One `python -m cli VERB` of this checkout, with its output in files."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        self.arguments = list(arguments)
        self.environment = dict(environment)
        self.folder = folder
        self.out_path = folder / f"{arguments[0]}.out"
        self.log_path = folder / f"{arguments[0]}.log"
        self.ready: Mapping[str, Any] = {}
        """What the child's ready line says."""
        self._child: Child | None = None

    @property
    def pid(self) -> int:
        """Of the running child."""
        assert self._child is not None, "not started"
        return self._child.pid

    @property
    def http_port(self) -> int:
        """The port in its ready line."""
        return int(self.ready["http_port"])

    @property
    def running(self) -> bool:
        """True while it lives."""
        return self._child is not None and self._child.poll() is None

    def start(self) -> "Process":
        """Returns when it said that it is ready. Raises ProcessFailed."""
        self.start_without_waiting()
        return self.wait_ready()

    def start_without_waiting(self) -> None:
        """For a child that is meant to wait for something first."""
        assert not self.running, "already running"
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.out_path.open("wb") as out, self.log_path.open("ab") as log:
            self._child = spawn(
                [sys.executable, "-m", "cli", *self.arguments],
                cwd=CHECKOUT,
                environment=self.environment,
                stdout=out,
                stderr=log,
            )

    def wait_ready(self, deadline_s: float = READY_DEADLINE_S) -> "Process":
        """Returns when it said that it is ready. Raises ProcessFailed."""
        self.ready = until(
            self._ready_line, deadline_s=deadline_s, what=f"{self.arguments} ready\n{self.log_tail()}"
        )
        return self

    def kill(self) -> None:
        """SIGKILL, and reaped."""
        if self._child is not None:
            signal_tree(self._child.pid, signal.SIGKILL)
            self._child.wait()

    def stop(self, deadline_s: float = STOP_DEADLINE_S) -> int:
        """SIGTERM; returns the exit code. Raises subprocess.TimeoutExpired when it does not end."""
        assert self._child is not None, "not started"
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)
        return self._child.wait(deadline_s)

    def freeze(self) -> None:
        """SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def log_tail(self) -> str:
        """The end of what it wrote to stderr."""
        return self.log_path.read_text(errors="replace")[-TAIL_CHARS:] if self.log_path.exists() else ""

    def close(self) -> None:
        """Ends it whatever state it is in."""
        if self.running:
            self.thaw()
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill()

    def _ready_line(self) -> Mapping[str, Any] | None:
        for line in self.out_path.read_text(errors="replace").splitlines():
            if line.startswith("{") and line.endswith("}") and '"ready"' in line:
                said: Mapping[str, Any] = json.loads(line)
                if said.get("event") == "ready":
                    return said
        if not self.running:
            assert self._child is not None
            raise ProcessFailed(f"{self.arguments} ended with {self._child.returncode}:\n{self.log_tail()}")
        return None


@contextmanager
def running(verb: str, environment: Mapping[str, str], folder: Path, *arguments: str) -> Iterator[Process]:
    """A ready `gateway` or `api`, ended at the end."""
    process = Process([verb, *arguments], environment, folder)
    try:
        yield process.start()
    finally:
        process.close()
