"""What mosquitto keeps of a password: `$7$`, PBKDF2 with SHA-512, made without its own tool."""

import base64
import hashlib
import hmac
import os
import secrets

ITERATIONS = 10
"""Device passwords are random and long; more rounds protect only what can be guessed, and the broker pays for them
at each of ten thousand reconnects."""

SALT_BYTES = 12
PASSWORD_BYTES = 18
"""144 random bits: nothing to guess."""

_MARK = "$7$"


def new_password() -> str:
    """A random one, of letters, digits, dashes and underscores."""
    return secrets.token_urlsafe(PASSWORD_BYTES)


def verifier(password: str) -> str:
    """As it stands after the name and colon in mosquitto's password file; the password cannot be had from it."""
    salt = os.urandom(SALT_BYTES)
    return f"{_MARK}{ITERATIONS}${_base64(salt)}${_base64(_digest(password, salt, ITERATIONS))}"


def matches(password: str, kept: str) -> bool:
    """Whether this is the password; takes as long for a wrong one. Raises ValueError for what is no verifier."""
    if not kept.startswith(_MARK):
        raise ValueError("no $7$ verifier")
    rounds, salt, digest = kept.removeprefix(_MARK).split("$")
    computed = _digest(password, base64.b64decode(salt), int(rounds))
    return hmac.compare_digest(computed, base64.b64decode(digest))


def _digest(password: str, salt: bytes, rounds: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
