"""Whose account a server runs under, and where its data can lie so that this account reaches it."""

import hashlib
import os
import pwd
import sys
from dataclasses import dataclass
from pathlib import Path

from cli.servers.errors import StaleFolder

FALLBACK_PARENT = Path("/var/tmp")
"""Survives a reboot and is reachable for everyone."""


@dataclass(frozen=True, slots=True)
class Account:
    """The user a server runs as; `switch` when we are root and must become it."""

    name: str
    uid: int
    gid: int
    switch: bool

    @classmethod
    def for_server(cls, preferred: str) -> "Account":
        """Ourselves, or as root the package's own user (PostgreSQL refuses root), or nobody.
        Raises LookupError when there is neither."""
        if os.geteuid() != 0:
            own = pwd.getpwuid(os.geteuid())
            return cls(own.pw_name, own.pw_uid, own.pw_gid, switch=False)
        for name in (preferred, "nobody"):
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            return cls(entry.pw_name, entry.pw_uid, entry.pw_gid, switch=True)
        raise LookupError("this machine has no user to run servers as")

    def own(self, path: Path, mode: int) -> Path:
        """Gives a file or folder to this account."""
        path.chmod(mode)
        if self.switch:
            os.chown(path, self.uid, self.gid)
        return path


def reachable_root(wanted: Path) -> Path:
    """`wanted`, or a folder in /var/tmp (said in one line) when servers of another account cannot get there.
    Raises StaleFolder when that is somebody else's."""
    # As the kernel names it, by which servers that outlived a killed run are known again.
    wanted = wanted.resolve()
    if os.geteuid() != 0 or _everyone_can_pass(wanted):
        _make(wanted)
        return wanted
    name = hashlib.sha256(str(wanted.parent).encode()).hexdigest()[:12]
    parent = FALLBACK_PARENT / f"latchkey-{name}"
    _make(parent)
    if parent.is_symlink() or parent.stat().st_uid != os.geteuid():
        raise StaleFolder(parent, "belongs to someone else")
    folder = parent / wanted.name
    _make(folder)
    print(f"latchkey: servers cannot reach {wanted}, their data goes to {folder}", file=sys.stderr)
    return folder


def _make(folder: Path) -> None:
    """With what is missing above it. As root open to the servers' accounts, whatever the umask says of new folders."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        if os.geteuid() == 0:
            path.chmod(0o755)


def _everyone_can_pass(path: Path) -> bool:
    """True when every folder above `path` that exists lets other users through."""
    return all(parent.stat().st_mode & 0o001 for parent in (path, *path.parents) if parent.exists())
