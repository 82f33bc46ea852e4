"""API keys: `lk_<key id>_<secret>`, of which the database has only the hash."""

import hashlib
import hmac
import re
import secrets
from typing import Final

from msgspec import Struct

from api.auth.principal import Principal, Role
from api.auth.tokens import BadToken
from gateway.people import KnownKey

PREFIX: Final = "lk_"
_FORM = re.compile(r"lk_([a-z0-9]{12})_([A-Za-z0-9_-]{43})")
_ID_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz0123456789"


class NewKey(Struct, frozen=True):
    """A key as it is shown once, and what is stored of it."""

    key_id: str
    key: str
    secret_hash: bytes


def new_key() -> NewKey:
    """256 random bits under a random id."""
    key_id = "".join(secrets.choice(_ID_LETTERS) for _ in range(12))
    secret = secrets.token_urlsafe(32)
    return NewKey(key_id, f"{PREFIX}{key_id}_{secret}", _hash(secret))


def key_id_of(key: str) -> str:
    """Which key it says to be. Raises BadToken."""
    return _parts(key)[0]


def principal_of_key(key: str, known: KnownKey | None, *, now_ms: int) -> Principal:
    """Whom the key speaks for; `known` is what the database has under its id. Raises BadToken."""
    _, secret = _parts(key)
    stored = known.secret_hash if known is not None else bytes(32)
    is_it = hmac.compare_digest(_hash(secret), stored)
    if known is None or not is_it or not known.is_good(now_ms):
        raise BadToken("the key is not known, was revoked or has expired")
    return Principal(Role(known.role), f"key-{known.key_id}", known.operator_id)


def _parts(key: str) -> tuple[str, str]:
    found = _FORM.fullmatch(key)
    if found is None:
        raise BadToken("this is no key")
    return found[1], found[2]


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
