"""What PostgreSQL keeps of a password proved by SCRAM-SHA-256, made before there is a server (RFC 5802, 5803)."""

import hashlib
import hmac
import secrets
from base64 import b64encode

SALT_BYTES = 16
ROUNDS = 1
"""Stretching slows down who guesses what a person chose. Passwords of private servers are 144 random bits, and every
connection of every process would pay for the 4,096 rounds that the server chooses by itself."""


def verifier(password: str, *, salt: bytes = b"", rounds: int = ROUNDS) -> str:
    """`SCRAM-SHA-256$rounds:salt$stored key:server key`; a random salt where none is given. The password is ASCII."""
    salt = salt or secrets.token_bytes(SALT_BYTES)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, rounds)
    stored_key = hashlib.sha256(_keyed(salted, b"Client Key")).digest()
    server_key = _keyed(salted, b"Server Key")
    return f"SCRAM-SHA-256${rounds}:{_text(salt)}${_text(stored_key)}:{_text(server_key)}"


def _keyed(key: bytes, what: bytes) -> bytes:
    return hmac.digest(key, what, "sha256")


def _text(some: bytes) -> str:
    return b64encode(some).decode()
