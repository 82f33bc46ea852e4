"""A server that is ours alone: started on a free port, waited for, killed, frozen, stopped."""

import os
import random
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from cli.servers.account import Account
from cli.servers.errors import ServerDied, ServerSilent
from cli.servers.ports import PortReservation, PortTaken, reserve_port
from cli.servers.process_tree import is_gone, is_stopped, signal_tree
from cli.servers.spawn import Child, spawn

ANSWER_DEADLINE_S = 90.0
"""PostgreSQL may replay a large log after a kill, on a busy machine."""
STOP_DEADLINE_S = 30.0
PORT_TRIES = 8
LOG_TAIL_BYTES = 2_000
CHILD_ENVIRONMENT = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "TZ": "UTC"}


class NotYet(Exception):
    """The server does not answer yet."""


class PrivateServer(ABC):
    """One server process on the loopback address, with its data folder."""

    name: ClassVar[str]
    port_count: ClassVar[int] = 1
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    death_signal: ClassVar[str] = "KILL"

    def __init__(self, data_dir: Path, account: Account) -> None:
        self.data_dir = data_dir
        self.account = account
        self.log_path = data_dir.with_name(f"{data_dir.name}.log")
        self._ports_path = data_dir.with_name(f"{data_dir.name}.ports")
        self._reserved: list[PortReservation] = []
        self._child: Child | None = None

    @abstractmethod
    def prepare(self) -> None:
        """Makes the data folder ready; called once, before there are ports."""

    @abstractmethod
    def configure(self) -> None:
        """Writes configuration that names the ports."""

    @abstractmethod
    def command(self) -> list[str]:
        """What to run, in the foreground."""

    @abstractmethod
    def ask(self) -> None:
        """One question that only a ready server answers. Raises NotYet or OSError."""

    @property
    def ports(self) -> list[int]:
        """The ports it listens on."""
        return [reserved.port for reserved in self._reserved]

    @property
    def port(self) -> int:
        """The first of its ports."""
        return self.ports[0]

    @property
    def pid(self) -> int:
        """The process id of the running server. Raises ProcessLookupError before it was started."""
        if self._child is None:
            raise ProcessLookupError(f"{self.name} was never started")
        return self._child.pid

    @property
    def running(self) -> bool:
        """True while the process lives, frozen or not."""
        return self._child is not None and self._child.poll() is None

    def open(self, chance: random.Random) -> None:
        """The first start: on free ports, trying others when somebody was faster."""
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.account.own(self.data_dir, 0o700)
        if self.log_path.exists():
            self.log_path.replace(self.log_path.with_suffix(".log.before"))
        self.prepare()
        for tries_left in reversed(range(PORT_TRIES)):
            self._reserved = self._ports_of_last_time() or [
                reserve_port(chance) for _ in range(self.port_count)
            ]
            self._ports_path.write_text(" ".join(str(port) for port in self.ports))
            self.configure()
            try:
                return self.start()
            except ServerDied as died:
                self._release_ports()
                self._ports_path.unlink()
                if not died.port_taken or not tries_left:
                    raise

    def start(self) -> None:
        """Starts on the same ports and the same data; returns when it answers. Raises ServerDied, ServerSilent."""
        if self.running:
            return
        with self.log_path.open("ab") as log:
            self._child = spawn(
                self.command(),
                cwd=self.data_dir,
                environment=CHILD_ENVIRONMENT,
                stdout=log,
                stderr=log,
                account=self.account,
                death_signal=self.death_signal,
            )
        self._wait_for_answer()

    def terminate(self) -> None:
        """Stops it in an orderly way; kills it when that takes too long."""
        if self._child is None or not self.running:
            return
        self.thaw()
        self._child.send_signal(self.stop_signal)
        self.wait_stopped()

    def wait_stopped(self) -> None:
        """Waits for the end of a server that was told to stop."""
        if self._child is None:
            return
        try:
            self._child.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL to the server and all its children, in one moment; returns when all are gone."""
        if self._child is None or not self.running:
            return
        killed = signal_tree(self.pid, signal.SIGKILL)
        self._child.wait()
        _wait_for(killed, is_gone)

    def freeze(self) -> None:
        """SIGSTOP: it holds its connections and answers nothing; returns when no child runs on."""
        _wait_for(signal_tree(self.pid, signal.SIGSTOP), is_stopped)

    def thaw(self) -> None:
        """SIGCONT."""
        signal_tree(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """Stops it and gives the ports back."""
        self.terminate()
        self._release_ports()

    def log_tail(self) -> str:
        """The end of what it wrote."""
        if not self.log_path.exists():
            return "(no log)"
        return self.log_path.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")

    def _wait_for_answer(self) -> None:
        assert self._child is not None
        deadline = time.monotonic() + ANSWER_DEADLINE_S
        pause_s = 0.005
        while True:
            if (exit_code := self._child.poll()) is not None:
                raise ServerDied(self.name, exit_code, self.log_tail())
            try:
                return self.ask()
            except (NotYet, OSError) as reason:
                if time.monotonic() > deadline:
                    self.kill()
                    raise ServerSilent(self.name, ANSWER_DEADLINE_S, str(reason)) from reason
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, 0.1)

    def _ports_of_last_time(self) -> list[PortReservation]:
        """The same address after a restart, where nobody has taken it; else nothing."""
        try:
            ports = [int(text) for text in self._ports_path.read_text().split()]
            return [PortReservation(port) for port in ports] if len(ports) == self.port_count else []
        except (FileNotFoundError, ValueError, PortTaken):
            return []

    def _release_ports(self) -> None:
        for reserved in self._reserved:
            reserved.release()
        self._reserved = []


def _wait_for(pids: list[int], reached: Callable[[int], bool]) -> None:
    """Children of a server are not ours to wait for; /proc says what became of them."""
    deadline = time.monotonic() + STOP_DEADLINE_S
    while not all(reached(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.002)
