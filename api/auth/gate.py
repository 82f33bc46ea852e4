"""From a token or key to a principal: remembered for as long as that is safe, refused once it was taken back."""

import asyncio
from collections.abc import Iterable
from math import inf
from typing import Any

import structlog
from msgspec import Struct

from api.auth.api_keys import PREFIX, key_id_of, principal_of_key
from api.auth.jwks import FRESH_FOR_S, IssuerKeys
from api.auth.policy import Openness, admitted
from api.auth.principal import Principal
from api.auth.tokens import LEEWAY_S, MAX_TOKEN_BYTES, BadToken, TokenRules, UnknownKey, verify
from api.problems import Problem
from gateway.people import ApiKeys, KnownKey, People, Revocations
from gateway.ports import Clock, StoreUnavailable

MAX_REMEMBERED = 20_000
"""Twice the map sessions of a process; what it has of each is 2 KB at most."""

KEY_FRESH_FOR_S = 5.0
"""A revoked key is refused after so long."""

KEY_USABLE_FOR_S = 60.0
"""While PostgreSQL is away, a key that was good is taken for so long."""

LOOK_AGAIN_S = 2.0
"""At what was taken back: a revoked token is refused within 5 s."""

NOTE_USE_EVERY_S = 60.0

log = structlog.get_logger()


class _Remembered(Struct, frozen=True):
    principal: Principal
    until_s: float
    """Unix seconds."""
    fresh_until_s: float
    """Monotonic seconds: a wall clock that is set back must not make what was read of a key last longer."""


class Gate:
    """Knows who is asking. One per process."""

    def __init__(self, rules: TokenRules, keys: ApiKeys, people: People, clock: Clock) -> None:
        self.rules = rules
        self._keys = keys
        self._people = people
        self._clock = clock
        self._remembered: dict[str, _Remembered] = {}
        self._known_keys: dict[str, tuple[float, KnownKey | None]] = {}
        self._revoked: Revocations | None = None
        self._used: set[str] = set()

    def now_s(self) -> float:
        """Unix seconds, as tokens count."""
        return self._clock.now_ms() / 1000

    def remembered(self, token: str) -> Principal | None:
        """Whom a token that was looked at before speaks for, if it still does."""
        known = self._remembered.get(token)
        if known is None or self._clock.monotonic_s() >= known.fresh_until_s:
            return None
        if self._clock.now_ms() >= known.until_s * 1000 or self.is_revoked(known.principal):
            return None
        return known.principal

    def is_revoked(self, principal: Principal) -> bool:
        """Whether tokens like this one were taken back."""
        if not self._revoked:
            return False
        before_ms = self._revoked.get((principal.operator_id, principal.subject))
        return before_ms is not None and principal.issued_s * 1000 < before_ms

    async def identify(self, token: str) -> Principal:
        """Raises BadToken, StoreUnavailable when it cannot be known."""
        principal = self.remembered(token)
        if principal is not None:
            return principal
        if len(token) > MAX_TOKEN_BYTES:
            raise BadToken("the token is too long")
        if token.startswith(PREFIX):
            return await self._identify_key(token)
        principal = await self._identify_token(token)
        if self._revoked is None:
            await self.look()
        if self.is_revoked(principal):
            raise BadToken("the token was taken back")
        fresh_until_s = inf
        if isinstance(self.rules.keys, IssuerKeys):
            # The provider may take its key back: then the token is worth nothing, however long it says it lasts.
            fresh_until_s = self._clock.monotonic_s() + FRESH_FOR_S
        self._remember(token, principal, principal.until_s + LEEWAY_S, fresh_until_s)
        return principal

    async def admit(self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]]) -> Principal | None:
        """Who asks this route (a path template); None where nobody is asked. Raises Problem, StoreUnavailable."""
        who = admitted(method, path)
        if isinstance(who, Openness):
            return None
        if not who:
            raise forbidden()
        principal = await self.principal_of(headers)
        if principal.role not in who:
            raise forbidden()
        return principal

    def known(self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]]) -> Principal | None:
        """Whom `admit` would let in without asking any store; None also for all whom it would refuse, and where
        nobody is asked."""
        who = admitted(method, path)
        if isinstance(who, Openness) or (token := bearer_of(headers)) is None:
            return None
        principal = self.remembered(token)
        return principal if principal is not None and principal.role in who else None

    async def admit_somebody(
        self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]]
    ) -> Principal:
        """As `admit`, of a route that asks everybody who they are. Raises Problem, StoreUnavailable."""
        principal = await self.admit(method, path, headers)
        if principal is None:
            raise forbidden()
        return principal

    async def principal_of(self, headers: Iterable[tuple[bytes, bytes]]) -> Principal:
        """By the Authorization header. Raises Problem, StoreUnavailable."""
        token = bearer_of(headers)
        if token is None:
            raise unauthenticated("Give a token or a key: `Authorization: Bearer …`.", "")
        try:
            return self.remembered(token) or await self.identify(token)
        except BadToken as error:
            raise unauthenticated(f"{str(error).capitalize()}.", ', error="invalid_token"') from error

    async def look(self) -> None:
        """Reads what was taken back. Raises StoreUnavailable."""
        self._revoked = await self._people.revocations()

    async def run(self) -> None:
        """For ever: what was taken back, and which keys were used. Cancel to stop."""
        noted_s = self._clock.monotonic_s()
        while True:
            try:
                await self.look()
                if self._used and self._clock.monotonic_s() - noted_s > NOTE_USE_EVERY_S:
                    noted_s = self._clock.monotonic_s()
                    used, self._used = self._used, set()
                    await self._keys.note_used(used, self._clock.now_ms())
            except StoreUnavailable as error:
                log.warning("revocations_not_read", reason=str(error))
            await asyncio.sleep(LOOK_AGAIN_S)

    async def _identify_token(self, token: str) -> Principal:
        now_s = self._clock.now_ms() / 1000
        keys = self.rules.keys
        if isinstance(keys, IssuerKeys) and keys.is_due:
            await keys.refresh()
        try:
            return verify(token, self.rules, now_s=now_s)
        except UnknownKey as error:
            if not isinstance(keys, IssuerKeys):
                raise
            if not await keys.refresh():
                if keys.is_untold:
                    # A client that is told its token is bad forgets it; this one may be good.
                    raise StoreUnavailable("the identity provider has not told its keys yet") from error
                raise
            return verify(token, self.rules, now_s=now_s)

    async def _identify_key(self, key: str) -> Principal:
        now_ms = self._clock.now_ms()
        key_id = key_id_of(key)
        fresh_until_s, known = await self._known_key(key_id)
        principal = principal_of_key(key, known, now_ms=now_ms)
        self._used.add(key_id)
        ends_s = inf if known is None or known.expires_ms is None else known.expires_ms / 1000
        self._remember(key, principal, min(now_ms / 1000 + KEY_FRESH_FOR_S, ends_s), fresh_until_s)
        return principal

    async def _known_key(self, key_id: str) -> tuple[float, KnownKey | None]:
        """What is known of it, and until when (monotonic seconds) that need not be asked again."""
        read_s, known = self._known_keys.get(key_id, (float("-inf"), None))
        asked_s = self._clock.monotonic_s()
        if asked_s - read_s < KEY_FRESH_FOR_S:
            return read_s + KEY_FRESH_FOR_S, known
        try:
            known = await self._keys.find(key_id)
        except StoreUnavailable:
            if asked_s - read_s < KEY_USABLE_FOR_S and known is not None:
                return asked_s + KEY_FRESH_FOR_S, known
            raise
        _make_room(self._known_keys)
        # As old as the question: it may have been taken back while the answer was on its way.
        self._known_keys[key_id] = (asked_s, known)
        return asked_s + KEY_FRESH_FOR_S, known

    def _remember(self, token: str, principal: Principal, until_s: float, fresh_until_s: float = inf) -> None:
        _make_room(self._remembered)
        self._remembered[token] = _Remembered(principal, until_s, fresh_until_s)


def bearer_of(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The token of the Authorization header; None without one, and with two, of which a proxy may have seen the
    other. Names in small letters, as ASGI has them."""
    said = [value for name, value in headers if name == b"authorization"]
    if len(said) != 1:
        return None
    scheme, _, token = said[0].decode("latin-1").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def unauthenticated(detail: str, error: str) -> Problem:
    """RFC 9110, 11.6.1: a 401 names the scheme; RFC 6750, 3.1 names the error where a token was given."""
    return Problem(
        "unauthenticated", 401, detail, headers={"WWW-Authenticate": f'Bearer realm="latchkey"{error}'}
    )


def forbidden(
    detail: str = "Your role may not ask this: /openapi.json names the roles of each operation (x-roles).",
) -> Problem:
    """Known, but not allowed."""
    return Problem("forbidden", 403, detail)


def _make_room(remembered: dict[str, Any]) -> None:
    """Drops what was put in first."""
    if len(remembered) >= MAX_REMEMBERED:
        del remembered[next(iter(remembered))]
