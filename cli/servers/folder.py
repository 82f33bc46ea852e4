"""The data folder of one stack: locked while in use, cleared of what a killed run left behind."""

import fcntl
import json
import os
import secrets
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cli.servers.errors import ForeignFolder, StackInUse, StaleFolder
from cli.servers.process_tree import working_below

LOCK_NAME = "lock"
RUN_SUFFIX = ".run"
PASSWORDS_NAME = "passwords.json"
SERVER_FOLDERS = ("mosquitto", "redis", "postgres")
HARMLESS = frozenset({"running.json", "lost+found"})
"""May lie in a folder before its first stack: what a killed `up` announced, and what a file system begins with."""
ORPHAN_DEADLINE_S = 30.0
PROGRAMS = frozenset({"mosquitto", "redis-server", "postgres", "initdb", "setpriv"})
"""Only these are ended: a person's shell may stand in the folder too."""


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Owns the folder until the end. Raises StackInUse, StaleFolder, ForeignFolder."""
    try:
        ours = _is_ours(root)
        descriptor = os.open(root / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except PermissionError as error:
        raise StaleFolder(root, "belongs to another user") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise StackInUse(root) from error
    try:
        if ours:
            end_orphans(root)
        yield
    finally:
        os.close(descriptor)


def _is_ours(root: Path) -> bool:
    """True when a stack was here before. Raises ForeignFolder when something else was: it may be somebody's data."""
    lock = root / LOCK_NAME
    if (root / PASSWORDS_NAME).exists() or (lock.exists() and lock.stat().st_size == 0):
        return True
    if any(path.name not in HARMLESS for path in root.iterdir()):
        raise ForeignFolder(root)
    return False


def end_orphans(root: Path) -> None:
    """Kills servers that outlived the run that started them here. Raises StackInUse when one will not go."""
    deadline = time.monotonic() + ORPHAN_DEADLINE_S
    # Nowhere else: a person may keep servers of their own beside ours.
    while orphans := [pid for name in SERVER_FOLDERS for pid in working_below(root / name, PROGRAMS)]:
        for pid in orphans:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise StackInUse(root)
        time.sleep(0.01)


def passwords(root: Path, names: tuple[str, ...]) -> dict[str, str]:
    """One random password per name, the same again for as long as the folder lives."""
    path = root / PASSWORDS_NAME
    known: dict[str, str] = {}
    with suppress(FileNotFoundError, json.JSONDecodeError):
        known = json.loads(path.read_text())
    wanted = {name: known.get(name) or secrets.token_urlsafe(18) for name in names}
    if wanted != known:
        fresh = path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(wanted))
        fresh.replace(path)
    return wanted


@contextmanager
def owned(parent: Path, run: str) -> Iterator[None]:
    """Meanwhile nobody sweeps the folders named `run-…` in `parent`, not even while none of them is in use."""
    path = parent / f"{run}{RUN_SUFFIX}"
    with _held(path):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """A lock file of a run, locked: the one that stands there, not one that a sweep removed meanwhile."""
    while True:
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                yield
                return


def sweep(parent: Path) -> None:
    """Removes the folders of stacks in `parent` that no live process and no live run owns."""
    roots = list(parent.iterdir()) if parent.exists() else []
    # Looked up after the folders: whose run has ended by now is in nobody's use.
    living = tuple(f"{run}-" for run in _living_runs(parent))
    for root in roots:
        # What another one's sweep removes at the same moment needs no second.
        with suppress(StackInUse, StaleFolder, FileNotFoundError):
            if (root / LOCK_NAME).exists() and not root.name.startswith(living):
                with locked(root):
                    shutil.rmtree(root, ignore_errors=True)


def _living_runs(parent: Path) -> Iterator[str]:
    """Removes what a killed one left of its ownership."""
    for path in parent.glob(f"*{RUN_SUFFIX}"):
        with suppress(FileNotFoundError), path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            except BlockingIOError:
                yield path.name.removesuffix(RUN_SUFFIX)
