"""CPU and memory of whole processes, children included, as the kernel counts them."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

OURSELVES = "bench"
"""The name under which every reading has the measuring process."""

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Reading(Struct, frozen=True):
    """One look at a set of processes and at the machine."""

    at_s: float
    cpu_s: Mapping[str, float]
    """User plus system seconds since each process began, its living and reaped children included."""
    idle_s: float
    total_s: float
    """Of all cores together, since the machine began."""


def _stat_fields(pid: int) -> list[str]:
    # proc(5): the second field is a name in parentheses that may itself hold spaces.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def cpu_s(pid: int) -> float:
    """User plus system seconds of one process and of the children it has reaped."""
    fields = _stat_fields(pid)
    return sum(int(ticks) for ticks in fields[11:15]) / _TICKS_PER_S


def children(pid: int) -> list[int]:
    """Direct children of any thread of the process."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            found += [int(child) for child in (task / "children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def tree_cpu_s(pid: int) -> float:
    """`cpu_s` of a process and of all its living children (one level: PostgreSQL's backends)."""
    total = 0.0
    for each in [pid, *children(pid)]:
        try:
            total += cpu_s(each)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended between the listing and the look: its parent reaps it into its own figure
    return total


def rss_bytes(pid: int) -> int:
    """Resident memory of one process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES


def read(pids: Mapping[str, int]) -> Reading:
    """CPU of each named process tree, and of the machine, now."""
    ticks = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return Reading(
        at_s=time.monotonic(),
        cpu_s={**{name: tree_cpu_s(pid) for name, pid in pids.items()}, OURSELVES: time.process_time()},
        idle_s=(ticks[3] + ticks[4]) / _TICKS_PER_S,
        total_s=sum(ticks) / _TICKS_PER_S,
    )


class Spent(Struct, frozen=True):
    """What happened between two readings."""

    took_s: float
    cpu_s: Mapping[str, float]
    idle_share: float
    """0..1 of all cores."""
    others_share: float
    """0..1 of all cores that went to processes which were not read: above a few per cent, times and costs of the
    run are those of a crowded machine."""

    def us_per(self, count: int, name: str) -> float:
        """CPU microseconds of one process tree per unit."""
        return self.cpu_s[name] / max(count, 1) * 1e6


def spent(before: Reading, after: Reading) -> Spent:
    """The difference; processes that are missing in either reading are left out."""
    cpu_s = {name: after.cpu_s[name] - before.cpu_s[name] for name in before.cpu_s if name in after.cpu_s}
    total_s = max(after.total_s - before.total_s, 1e-9)
    idle_share = (after.idle_s - before.idle_s) / total_s
    return Spent(
        took_s=after.at_s - before.at_s,
        cpu_s=cpu_s,
        idle_share=idle_share,
        others_share=max(0.0, 1.0 - idle_share - sum(cpu_s.values()) / total_s),
    )
