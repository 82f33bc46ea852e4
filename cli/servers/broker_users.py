"""mosquitto's password file, written without its own tool: `$7$` lines, PBKDF2 with SHA-512."""

import base64
import hashlib
import os
from collections.abc import Mapping

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


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
