"""Which PostgreSQL is installed, and whether TimescaleDB comes with it."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cli.servers.errors import ProgramMissing, StackError

Wanted = Literal["auto", "off", "require"]
DEBIAN_HOME = Path("/usr/lib/postgresql")


class TimescaleMissing(StackError):
    """TimescaleDB was required and this PostgreSQL has none."""

    def __init__(self, bin_dir: Path, major: int) -> None:
        super().__init__(
            f"PostgreSQL {major} in {bin_dir} has no TimescaleDB; install timescaledb-2-postgresql-{major} "
            "(docs.timescale.com), point LATCHKEY_POSTGRES_BIN at one that has it, or set LATCHKEY_TIMESCALE=auto"
        )


@dataclass(frozen=True, slots=True)
class PostgresProgram:
    """The programs of one PostgreSQL version."""

    bin_dir: Path
    major: int
    timescale: bool
    """Installed, and wanted."""


def find_postgres(wanted: Wanted = "auto") -> PostgresProgram:
    """LATCHKEY_POSTGRES_BIN, else Debian's newest, else the one in PATH. Raises ProgramMissing, TimescaleMissing."""
    bin_dir = _bin_dir()
    major = _major(bin_dir)
    present = has_timescale(bin_dir, major)
    if wanted == "require" and not present:
        raise TimescaleMissing(bin_dir, major)
    return PostgresProgram(bin_dir, major, present and wanted != "off")


def has_timescale(bin_dir: Path, major: int) -> bool:
    """True when `CREATE EXTENSION timescaledb` can work."""
    return (_share_dir(bin_dir, major) / "extension" / "timescaledb.control").exists()


def _bin_dir() -> Path:
    if named := os.environ.get("LATCHKEY_POSTGRES_BIN"):
        if not (Path(named) / "initdb").exists():
            raise StackError(f"LATCHKEY_POSTGRES_BIN={named} holds no initdb")
        return Path(named)
    debian = [home / "bin" for home in DEBIAN_HOME.glob("*") if (home / "bin" / "initdb").exists()]
    if debian:
        return max(debian, key=lambda path: float(path.parent.name))
    if program := shutil.which("initdb"):
        return Path(program).resolve().parent
    raise ProgramMissing("postgres", "postgresql")


def _major(bin_dir: Path) -> int:
    said = subprocess.run(
        [bin_dir / "postgres", "--version"], capture_output=True, text=True, check=True
    ).stdout
    found = re.search(r"\) (\d+)", said)
    if found is None:
        raise StackError(f"{bin_dir}/postgres --version says {said!r}")
    return int(found[1])


def _share_dir(bin_dir: Path, major: int) -> Path:
    pg_config = bin_dir / "pg_config"
    if pg_config.exists():
        said = subprocess.run([pg_config, "--sharedir"], capture_output=True, text=True, check=True).stdout
        return Path(said.strip())
    return Path(f"/usr/share/postgresql/{major}")
