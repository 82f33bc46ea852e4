"""Public keys of an identity provider: from a file, or from an address that is asked now and then."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import jwt
import structlog
from jwt.exceptions import PyJWTError

from api.auth.fetching import FetchFailed, fetch_json

FRESH_FOR_S = 300.0
"""A key that the provider took back is refused after so long."""

ASK_AGAIN_AFTER_S = 30.0
"""Between two questions, whatever key ids tokens name: forged ones must not make us ask for ever."""

MAX_KEYS = 64
MIN_RSA_BITS = 2_048

log = structlog.get_logger()


class BadKeySet(ValueError):
    """Not a JSON Web Key Set with RSA keys for RS256."""


def parse_key_set(document: Any) -> dict[str, jwt.PyJWK]:
    """RSA keys for signatures by their ids; others are left out. Raises BadKeySet when none is left."""
    listed = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(listed, list) or len(listed) > MAX_KEYS:
        raise BadKeySet(f"a key set has a list `keys` of at most {MAX_KEYS}")
    found: dict[str, jwt.PyJWK] = {}
    for one in listed:
        if not isinstance(one, Mapping) or one.get("kty") != "RSA" or one.get("use", "sig") != "sig":
            continue
        if one.get("alg", "RS256") != "RS256" or "d" in one or not isinstance(one.get("kid", ""), str):
            continue
        try:
            key = jwt.PyJWK.from_dict(dict(one), algorithm="RS256")
        except (PyJWTError, ValueError, TypeError) as error:
            raise BadKeySet("an RSA key of the set cannot be read") from error
        if key.key.key_size < MIN_RSA_BITS:
            raise BadKeySet(f"an RSA key of the set has less than {MIN_RSA_BITS} bits")
        found[one.get("kid", "")] = key
    if not found:
        raise BadKeySet("the set has no RSA key for RS256 signatures")
    return found


class IssuerKeys:
    """The keys as they were last told; `url` is empty when they came from a file."""

    def __init__(self, keys: Mapping[str, jwt.PyJWK], *, url: str, monotonic_s: Callable[[], float]) -> None:
        self._keys = dict(keys)
        self._url = url
        self._monotonic_s = monotonic_s
        self._told_s = monotonic_s() if keys else float("-inf")
        self._asked_s = float("-inf")
        self._asking: asyncio.Task[bool] | None = None

    def key(self, key_id: str) -> jwt.PyJWK | None:
        """By id; an empty one stands for the only key."""
        if not key_id and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(key_id)

    @property
    def is_untold(self) -> bool:
        """Whether no set was ever read: then nobody can say of a key id that it is wrong."""
        return not self._keys

    @property
    def is_due(self) -> bool:
        """Whether `refresh` is worth waiting for: the keys are old, and somebody asks or may ask."""
        is_old = self._monotonic_s() - self._told_s > FRESH_FOR_S
        return bool(self._url) and is_old and (self._is_asking or self._may_ask)

    @property
    def _is_asking(self) -> bool:
        return self._asking is not None and not self._asking.done()

    @property
    def _may_ask(self) -> bool:
        return bool(self._url) and self._monotonic_s() - self._asked_s > ASK_AGAIN_AFTER_S

    async def refresh(self) -> bool:
        """Asks the address, if it may, or waits with whoever asked; True when there are new keys. Old ones stay while
        nobody answers."""
        if self._asking is None or self._asking.done():
            if not self._may_ask:
                return False
            self._asked_s = self._monotonic_s()
            self._asking = asyncio.create_task(self._ask())
        # Others wait for the same answer: it outlives the request that began to ask.
        return await asyncio.shield(self._asking)

    async def _ask(self) -> bool:
        try:
            self._keys = parse_key_set(await fetch_json(self._url))
        except (FetchFailed, BadKeySet) as error:
            log.warning("key_set_unavailable", reason=str(error))
            return False
        self._told_s = self._monotonic_s()
        return True
