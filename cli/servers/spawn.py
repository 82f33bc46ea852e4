"""Child processes that die when we die, whatever kills us."""

import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import IO

from cli.servers.account import Account
from cli.servers.errors import ProgramMissing

Child = subprocess.Popen[bytes]
Output = IO[bytes] | int
BOUND_DEADLINE_S = 30.0


def spawn(
    command: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    stdout: Output,
    stderr: Output,
    account: Account | None = None,
    death_signal: str = "KILL",
) -> Child:
    """Starts a child in a session of its own (Ctrl-C reaches only us, who then stop it in order).

    The kernel sends it `death_signal` when this process ends. `setpriv` asks for that after it has
    become the other user, because changing the user forgets the request. Raises ProgramMissing without it.
    """
    prefix = bound_to_us(death_signal)
    if account is not None and account.switch:
        prefix += [f"--reuid={account.uid}", f"--regid={account.gid}", "--init-groups"]
    child = _SPAWNER.run(
        lambda: subprocess.Popen(
            [*prefix, "--", *command],
            cwd=cwd,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    )
    _wait_until_bound(child, prefix[0])
    return child


def bound_to_us(death_signal: str) -> list[str]:
    """What stands before a command that the kernel is to send this signal when the thread that starts it ends.
    Raises ProgramMissing."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise ProgramMissing("setpriv", "util-linux")
    return [setpriv, "--pdeathsig", death_signal]


def _wait_until_bound(child: Child, setpriv: str) -> None:
    """Returns when `setpriv` has become the program: before that our death would not yet be the child's."""
    deadline = time.monotonic() + BOUND_DEADLINE_S
    while child.poll() is None and still_is(child.pid, setpriv) and time.monotonic() < deadline:
        time.sleep(0.001)


def still_is(pid: int, program: str) -> bool:
    """True while the process runs that program; False when it runs another one, or ended."""
    place = Path(f"/proc/{pid}")
    try:
        # Not its name: while a process is being replaced, that is the old one's for a moment after we hear of it.
        return (place / "exe").readlink() == Path(program).resolve()
    except PermissionError:
        # It has become the other user, so it is long past that moment.
        return (place / "comm").read_text().strip() == Path(program).name
    except OSError:
        return False


class _Spawner:
    """One thread that lives as long as the process: the kernel counts the death of the *thread* that forked."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Child], Future[Child]]] = queue.SimpleQueue()
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None

    def run(self, job: Callable[[], Child]) -> Child:
        with self._guard:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="spawner", daemon=True)
                self._thread.start()
        done: Future[Child] = Future()
        self._jobs.put((job, done))
        return done.result()

    def _work(self) -> None:
        while True:
            job, done = self._jobs.get()
            try:
                done.set_result(job())
            except BaseException as error:
                done.set_exception(error)


_SPAWNER = _Spawner()
