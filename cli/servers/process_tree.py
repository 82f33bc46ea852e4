"""Processes with their children, read from /proc: to stop, freeze and kill all of a server."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")


def tree(root_pid: int) -> list[int]:
    """`root_pid` and every living descendant, parents first."""
    children: dict[int, list[int]] = {}
    for pid, parent, state in _processes():
        if state != "Z":
            children.setdefault(parent, []).append(pid)
    found = [root_pid]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def signal_tree(root_pid: int, number: signal.Signals) -> list[int]:
    """Sends the signal to the whole tree, again to children that appeared meanwhile; returns who got it."""
    told: list[int] = []
    while fresh := [pid for pid in tree(root_pid) if pid not in told]:
        for pid in fresh:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        told.extend(fresh)
    return told


def is_gone(pid: int) -> bool:
    """True when the process ended, reaped or not."""
    stat = _stat(pid)
    return stat is None or stat[2] == "Z"


def is_stopped(pid: int) -> bool:
    """True when SIGSTOP has taken effect, or the process ended."""
    stat = _stat(pid)
    return stat is None or stat[2] in "TtZ"


def working_below(folder: Path, programs: frozenset[str]) -> list[int]:
    """Processes of these programs whose working folder is `folder` or below it: the orphans of a killed run."""
    found = []
    for pid, _, state in _processes():
        with suppress(OSError):
            place = Path(os.readlink(PROC / str(pid) / "cwd"))
            program = (PROC / str(pid) / "comm").read_text().strip()
            if state != "Z" and program in programs and place.is_relative_to(folder):
                found.append(pid)
    return found


def _processes() -> Iterator[tuple[int, int, str]]:
    for entry in os.listdir(PROC):
        if entry.isdigit() and (stat := _stat(int(entry))) is not None:
            yield stat


def _stat(pid: int) -> tuple[int, int, str] | None:
    """(pid, parent, state), or None when there is no such process."""
    try:
        text = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    # The name in parentheses may itself hold spaces and parentheses.
    state, parent = text.rpartition(")")[2].split()[:2]
    return pid, int(parent), state
