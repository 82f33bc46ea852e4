"""What a fault trial is."""

from collections.abc import Callable
from pathlib import Path
from random import Random

from msgspec import Struct

from bench.faults.findings import Findings
from cli.child_process import Spawn
from cli.servers.spawn import spawn
from cli.stack import Stack


class Scene(Struct, frozen=True):
    """Where and how long a trial is played."""

    stack: Stack
    folder: Path
    seconds: float
    seed: int
    spawn: Spawn = spawn
    """How gateway and api are begun."""

    @property
    def chance(self) -> Random:
        """The same one each time it is asked for."""
        return Random(self.seed)


Play = Callable[[Scene], Findings]


class Trial(Struct, frozen=True):
    """One way to break a running system."""

    name: str
    law: str
    """The promise, in a sentence."""
    play: Play
    short_s: float
    long_s: float
    """How long it is broken; those that count frames take so many more of them. A short one of 0 is left to the long
    form."""
    unfit: Callable[[], str] = lambda: ""
    """Why this machine cannot play it; empty when it can."""
