"""What this machine has and lacks for running Latchkey."""

import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cli.node import machine_node, suits
from cli.page import BUILT, WEB, is_current
from cli.running import POSTGRES_DSN
from cli.servers.errors import StackError
from cli.servers.ports import HIGHEST_PORT, LOWEST_PORT
from cli.servers.postgres_program import find_postgres
from cli.stack import CHECKOUT, STATE_FOLDER

INSTALL = "sudo apt-get install --no-install-recommends"
MENDED_MOSQUITTO = (2, 0, 15)
ENOUGH_FILES = 12_000
"""Ten thousand devices and room for everything else."""
ENOUGH_DISK_GB = 5
"""A day of 20,000 devices at one report a minute takes about 4 GB before compression."""
MADE_AGAIN = ("tests", "demo", "bench", "chaos", "node")
"""Folders of the state that nobody misses. Beside them are the data of `up` and the authority's key: those never."""


class Grade(Enum):
    """How much a finding matters."""

    GOOD = "good"
    WORTH_KNOWING = "worth knowing"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    about: str
    grade: Grade
    what: str
    mended_by: str = ""


def examine_machine(environment: Mapping[str, str] = os.environ) -> list[Finding]:
    """Everything, in the order in which a person would mend it. Where servers are named, as in a container, what only
    private ones need is not missing."""
    examinations: list[Callable[[], Finding]] = [
        examine_python,
        examine_packages,
        examine_page,
        examine_files,
    ]
    if POSTGRES_DSN not in environment:
        examinations[2:2] = [examine_mosquitto, examine_redis, examine_postgres, examine_timescale]
        examinations += [examine_disk, examine_ports]
    return [examine() for examine in examinations]


def examine_python() -> Finding:
    """Version and place of the interpreter."""
    said = ".".join(str(part) for part in sys.version_info[:3])
    return Finding("Python", Grade.GOOD, f"{said} ({sys.executable})")


def examine_packages() -> Finding:
    """Whether what is installed is what requirements.lock names."""
    lock = (CHECKOUT / "requirements.lock").read_text()
    different = []
    for name, locked in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)\s*\\?$", lock, flags=re.MULTILINE):
        try:
            installed = version(name)
        except PackageNotFoundError:
            installed = "missing"
        if installed != locked:
            different.append(f"{name} {installed}, locked {locked}")
    if different:
        some = "; ".join(different[:3])
        return Finding(
            "packages",
            Grade.WRONG,
            f"{len(different)} differ: {some}",
            f"rm -f {_word(CHECKOUT / '.venv/latchkey.stamp')} && {_word(CHECKOUT / 'latchkey')} doctor",
        )
    return Finding("packages", Grade.GOOD, f"as locked ({sha256(lock.encode()).hexdigest()[:8]})")


def examine_mosquitto() -> Finding:
    """Presence, and the two defects of old versions that the gateway works around."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        return Finding("mosquitto", Grade.WRONG, "not installed", f"{INSTALL} mosquitto mosquitto-clients")
    said = subprocess.run([program, "-h"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"version (\d+)\.(\d+)\.(\d+)", said)
    if found is None:
        return Finding("mosquitto", Grade.WORTH_KNOWING, f"{program} does not say its version")
    number = (int(found[1]), int(found[2]), int(found[3]))
    text = ".".join(found.groups())
    if number < MENDED_MOSQUITTO:
        what = (
            f"{text} works, with two known defects mended in 2.0.15: messages queued behind an expired one are "
            "stuck until the next publish, and a client's receive maximum is not honoured after its first "
            "acknowledgement (newer ones: mosquitto.org/download)"
        )
        return Finding("mosquitto", Grade.WORTH_KNOWING, what)
    return Finding("mosquitto", Grade.GOOD, text)


def examine_redis() -> Finding:
    """Presence of the server program."""
    program = shutil.which("redis-server")
    if program is None:
        return Finding("Redis", Grade.WRONG, "not installed", f"{INSTALL} redis-server")
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"v=(\d+)\.(\S+)", said)
    if found is None or int(found[1]) < 7:
        return Finding(
            "Redis", Grade.WRONG, f"7 or newer is needed, this is {said.strip()}", f"{INSTALL} redis-server"
        )
    return Finding("Redis", Grade.GOOD, f"{found[1]}.{found[2]}")


def examine_postgres() -> Finding:
    """Presence of the server programs."""
    try:
        program = find_postgres()
    except StackError as error:
        return Finding("PostgreSQL", Grade.WRONG, str(error).split(";")[0], f"{INSTALL} postgresql")
    if program.major < 15:
        return Finding("PostgreSQL", Grade.WRONG, f"15 or newer is needed, this is {program.major}")
    return Finding("PostgreSQL", Grade.GOOD, f"{program.major} in {program.bin_dir}")


def examine_timescale() -> Finding:
    """Whether history can be compressed and summed up by TimescaleDB."""
    try:
        program = find_postgres()
    except StackError:
        return Finding("TimescaleDB", Grade.WORTH_KNOWING, "no PostgreSQL to look into")
    if not program.timescale:
        what = "absent: history uses daily partitions and plain views, and is not compressed"
        mended_by = (
            f"install timescaledb-2-postgresql-{program.major} (docs.timescale.com), or docker compose up"
        )
        return Finding("TimescaleDB", Grade.WORTH_KNOWING, what, mended_by)
    return Finding("TimescaleDB", Grade.GOOD, f"comes with PostgreSQL {program.major}")


def examine_page() -> Finding:
    """Whether the web page is built or can be."""
    if is_current(WEB):
        return Finding("web page", Grade.GOOD, f"built in {BUILT}")
    found = machine_node()
    builder = f"Node {found}" if suits(found) else f"a Node that it fetches (here is {found})"
    return Finding("web page", Grade.GOOD, f"will be built by the next demo, up or test with {builder}")


def examine_files() -> Finding:
    """How many connections a process may hold."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < ENOUGH_FILES:
        what = f"a process may have {hard} open files: enough for about {max(hard - 200, 0)} devices"
        return Finding(
            "open files", Grade.WORTH_KNOWING, what, f"ulimit -Hn {ENOUGH_FILES} (as root, before starting)"
        )
    return Finding(
        "open files", Grade.GOOD, "no limit" if hard == resource.RLIM_INFINITY else f"{hard} per process"
    )


def examine_disk() -> Finding:
    """Room where the private servers keep their data."""
    place = STATE_FOLDER if STATE_FOLDER.exists() else CHECKOUT
    free_gb = shutil.disk_usage(place).free / 2**30
    if not os.access(place, os.W_OK):
        return Finding(
            "disk", Grade.WRONG, f"{place} cannot be written", f"sudo chown -R $(id -un) {_word(place)}"
        )
    if free_gb < ENOUGH_DISK_GB:
        left = [_word(STATE_FOLDER / name) for name in MADE_AGAIN if (STATE_FOLDER / name).exists()]
        what = f"{free_gb:.1f} GB free in {place}, {ENOUGH_DISK_GB} wanted"
        if not left:
            return Finding("disk", Grade.WRONG, what)
        what += "; what demos, tests and measurements left may go while none of them runs"
        return Finding("disk", Grade.WRONG, what, f"rm -rf {' '.join(left)}")
    return Finding("disk", Grade.GOOD, f"{free_gb:.0f} GB free in {place}")


def examine_ports() -> Finding:
    """Whether the range that private servers take their ports from is free of outgoing connections."""
    ephemeral = Path("/proc/sys/net/ipv4/ip_local_port_range")
    lowest = int(ephemeral.read_text().split()[0]) if ephemeral.exists() else HIGHEST_PORT + 1
    if lowest <= HIGHEST_PORT:
        what = f"outgoing connections may take ports from {lowest}; private servers use {LOWEST_PORT} to {HIGHEST_PORT}"
        return Finding(
            "ports", Grade.WORTH_KNOWING, what, "sudo sysctl net.ipv4.ip_local_port_range='32768 60999'"
        )
    return Finding("ports", Grade.GOOD, f"{LOWEST_PORT} to {HIGHEST_PORT} for private servers")


def _word(path: Path) -> str:
    """One word of a command, also where a folder has a space in its name."""
    return shlex.quote(str(path))
