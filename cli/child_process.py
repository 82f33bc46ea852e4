"""A gateway or api of this checkout as a child: started, its ready line awaited, killed, stopped, its output kept."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from cli.servers.errors import ServerDied, ServerSilent
from cli.servers.process_tree import signal_tree
from cli.servers.spawn import Output, spawn
from cli.stack import CHECKOUT

READY_DEADLINE_S = 60.0
STOP_DEADLINE_S = 30.0
TAIL_CHARS = 4_000


class Living(Protocol):
    """As much of a `subprocess.Popen` as is needed here."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None:
        """Of one that has ended; negative for a signal."""

    def poll(self) -> int | None:
        """`returncode`, looked up."""

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code. Raises subprocess.TimeoutExpired."""

    def send_signal(self, sig: int) -> None:
        """Nothing to one that has ended."""


class Spawn(Protocol):
    """How a process is begun."""

    def __call__(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        environment: Mapping[str, str],
        stdout: Output,
        stderr: Output,
    ) -> Living:
        """Running, in a session of its own; it dies when we do."""


class ChildProcess:
    """One `python -m cli VERB …`, or of another module, with its output in files of `folder`."""

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        *,
        name: str = "",
        module: str = "cli",
        spawn: Spawn = spawn,
    ) -> None:
        self.name = name or arguments[0]
        self.module = module
        """What Python runs: another one than `cli` prints a ready line of its own."""
        self.arguments = list(arguments)
        self.environment = dict(environment)
        self.folder = folder
        self.out_path = folder / f"{self.name}.out"
        self.log_path = folder / f"{self.name}.log"
        self.ready: Mapping[str, Any] = {}
        """What the child's ready line says."""
        self._spawn = spawn
        self._child: Living | None = None

    @property
    def pid(self) -> int:
        """Of the child. Raises ProcessLookupError before the first start."""
        return self._started.pid

    @property
    def http_port(self) -> int:
        """The port in its ready line."""
        return int(self.ready["http_port"])

    @property
    def running(self) -> bool:
        """True while it lives."""
        return self._child is not None and self._child.poll() is None

    def start(self) -> "ChildProcess":
        """Returns when it said that it is ready. Raises ServerDied, ServerSilent."""
        self.start_without_waiting()
        return self.wait_ready()

    def start_without_waiting(self) -> None:
        """For a child that is meant to wait for something first."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.out_path.open("wb") as out, self.log_path.open("ab") as log:
            self._child = self._spawn(
                [sys.executable, "-m", self.module, *self.arguments],
                cwd=CHECKOUT,
                environment=self.environment,
                stdout=out,
                stderr=log,
            )

    def wait_ready(self, deadline_s: float = READY_DEADLINE_S) -> "ChildProcess":
        """Returns when it said that it is ready. Raises ServerDied, ServerSilent."""
        end = time.monotonic() + deadline_s
        pause_s = 0.005
        while (said := self._ready_line()) is None:
            if not self.running:
                raise ServerDied(self.name, self._started.returncode, self.log_tail())
            if time.monotonic() > end:
                raise ServerSilent(
                    self.name, deadline_s, f"no ready line; its log ends with:\n{self.log_tail()}"
                )
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, 0.1)
        self.ready = said
        return self

    def kill(self) -> None:
        """SIGKILL to it and its children, and reaped."""
        if self._child is not None:
            signal_tree(self._child.pid, signal.SIGKILL)
            self._child.wait()

    def stop(self, deadline_s: float = STOP_DEADLINE_S) -> int:
        """SIGTERM; returns the exit code. Raises subprocess.TimeoutExpired when it does not end."""
        if self.running:
            self._started.send_signal(signal.SIGTERM)
        return self._started.wait(deadline_s)

    def freeze(self) -> None:
        """SIGSTOP."""
        self._started.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._started.send_signal(signal.SIGCONT)

    def log_tail(self) -> str:
        """The end of what it wrote to stderr."""
        return self.log_path.read_text(errors="replace")[-TAIL_CHARS:] if self.log_path.exists() else ""

    def close(self) -> None:
        """Ends it, whatever state it is in."""
        if self.running:
            self.thaw()
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill()

    @property
    def _started(self) -> Living:
        if self._child is None:
            raise ProcessLookupError(f"{self.name} was never started")
        return self._child

    def _ready_line(self) -> Mapping[str, Any] | None:
        for line in self.out_path.read_text(errors="replace").splitlines():
            if line.startswith("{") and line.endswith("}") and '"ready"' in line:
                said: Mapping[str, Any] = json.loads(line)
                if said.get("event") == "ready":
                    return said
        return None
