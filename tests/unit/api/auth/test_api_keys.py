"""A key speaks for whom the database says, and only whole."""

import pytest
from msgspec import structs

from api.auth.api_keys import key_id_of, new_key, principal_of_key
from api.auth.tokens import BadToken
from gateway.people import KnownKey

MADE = new_key()
KNOWN = KnownKey(MADE.key_id, 3, "service", "billing", MADE.secret_hash, 0)


def test_a_whole_key_speaks_for_its_program() -> None:
    who = principal_of_key(MADE.key, KNOWN, now_ms=1)
    assert (who.name, who.operator_id) == (f"service:key-{MADE.key_id}", 3)


def test_anything_else_does_not() -> None:
    others = [
        "",
        "lk_",
        MADE.key[:-1],
        MADE.key + "A",
        MADE.key.replace("lk_", "LK_"),
        "lk_../../etc/pas_" + "A" * 43,
        f"lk_{MADE.key_id}_" + "A" * 43,
        new_key().key,
    ]
    for key in others:
        with pytest.raises(BadToken):
            principal_of_key(key, KNOWN, now_ms=1)


def test_a_key_nobody_knows_or_that_is_over_does_not() -> None:
    for known in (None, structs.replace(KNOWN, revoked_ms=1), structs.replace(KNOWN, expires_ms=1)):
        with pytest.raises(BadToken):
            principal_of_key(MADE.key, known, now_ms=1)


def test_no_two_keys_are_alike() -> None:
    keys = {new_key().key for _ in range(100)}
    assert len({key_id_of(key) for key in keys}) == 100
