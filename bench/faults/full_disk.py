"""The trial of a disk that is full, on a small disk of its own."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from msgspec import structs

from bench.faults.findings import Findings
from bench.faults.kept_trial import KeptLoad, kept
from bench.faults.nemeses import Nemesis
from bench.faults.rig import Rig
from bench.faults.trial import Scene
from bench.faults.waiting import pass_time, wait_for
from cli.stack import Stack

DISK_MIB = 400
"""A cluster, its log, a database, and room for minutes of a trial's reports."""

CHUNK = bytes(256 * 1024)


def why_no_small_disk() -> str:
    """Why this machine cannot mount one; empty when it can."""
    if os.geteuid() != 0:
        return "mounting a small disk needs root"
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:
        tried = subprocess.run(
            ["mount", "-t", "tmpfs", "tmpfs", place], capture_output=True, text=True, check=False
        )
        if tried.returncode != 0:
            return f"mount: {tried.stderr.strip()}"
        subprocess.run(["umount", place], check=True)
    return ""


def full_disk(scene: Scene) -> Findings:
    """Devices report to a stack whose disk is filled up and freed again."""
    with _small_disk() as disk, Stack.started(disk / "stack") as stack:
        play = kept(_fills(disk), KeptLoad(rate_per_s=500, devices=50))
        return play(structs.replace(scene, stack=stack))


@contextmanager
def _small_disk() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="latchkey-disk-") as place:
        os.chmod(place, 0o755)
        options = f"size={DISK_MIB}m,mode=755"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)
        try:
            yield Path(place)
        finally:
            subprocess.run(["umount", place], check=True)


def _fills(disk: Path) -> Nemesis:
    def fill(rig: Rig, chance: Random, seconds: float) -> int:
        pid, ballast = rig.gateway.pid, disk / "ballast"
        pass_time(time.monotonic() + seconds / 3)
        _write_until_full(ballast)
        try:
            rig.findings.said.append(f"not ready {wait_for('not ready', lambda: _is_stuck(rig)):.1f} s after")
            _write_until_full(ballast)
            named = wait_for("the broker's disk is named", lambda: _names_broker_disk(rig))
            rig.findings.measure("the broker's disk named after, s", named, at_most=30.0)
            pass_time(time.monotonic() + seconds)
            rig.findings.count("ready on a full disk", rig.page.is_ready())
        finally:
            ballast.unlink()
        # A server that gave up for want of room is started again, as its supervisor would.
        rig.stack.postgres.start()
        rig.findings.measure("resumed with room again, s", rig.wait_ready(), at_most=10.0)
        rig.findings.expect("the same gateway", (rig.gateway.running, rig.gateway.pid), (True, pid))
        return 1

    return fill


def _is_stuck(rig: Rig) -> bool:
    return not rig.page.is_ready()


def _names_broker_disk(rig: Rig) -> bool:
    return any("broker's disk" in reason for reason in rig.page.reasons())


def _write_until_full(path: Path) -> None:
    """To the last page, whatever size of write still fits."""
    with path.open("ab", buffering=0) as ballast:
        size = len(CHUNK)
        while size >= 512:
            try:
                ballast.write(CHUNK[:size])
            except OSError:
                size //= 2
