"""mosquitto's password file, written without its own tool: `$7$` lines, PBKDF2 with SHA-512."""

import base64
import fcntl
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

ITERATIONS = 10
"""Device keys are random and long; more rounds protect only what can be guessed, and the broker pays for them
at each of ten thousand reconnects."""
SALT_BYTES = 12


def password_line(username: str, password: str) -> str:
    """One line of the file, without its end."""
    salt = os.urandom(SALT_BYTES)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
    return f"{username}:$7${ITERATIONS}${_base64(salt)}${_base64(digest)}"


def password_file(users: Mapping[str, str]) -> str:
    """The whole file for user name -> password."""
    return "".join(f"{password_line(name, password)}\n" for name, password in users.items())


def let_in(path: Path, username: str, password: str) -> None:
    """Adds one user to the file, or gives it a new password; the broker reads it at its next SIGHUP.

    Raises FileNotFoundError when there is no such file: then no broker of ours reads it.
    """
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = path.stat()
        kept = [line for line in path.read_text().splitlines() if line and line.split(":", 1)[0] != username]
        fresh = path.with_name(f"{path.name}.new")
        fresh.touch(mode=0o600)
        fresh.write_text("\n".join([*kept, password_line(username, password)]) + "\n")
        # The broker runs as another user when we are root.
        os.chown(fresh, before.st_uid, before.st_gid)
        fresh.replace(path)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
