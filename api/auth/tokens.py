"""Bearer tokens: one fixed algorithm per kind of key, every claim that matters required."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Protocol

import jwt
import msgspec
from jwt.api_jws import PyJWS
from jwt.exceptions import InvalidTokenError
from msgspec import Meta, Struct

from api.auth.principal import Principal, Role

MAX_TOKEN_BYTES = 8 * 1024
"""Twice what identity providers make when they put groups in."""

LEEWAY_S = 30.0
"""Clocks of two machines that are kept in time differ by less."""

MAX_LIFE_S = 24 * 3600.0
"""From iat to exp: what is taken back must be remembered for no longer."""

MIN_SECRET_BYTES = 32
"""RFC 7518, 3.2: a key of the same size as the hash output or larger must be used."""

_TYPES = ("jwt", "at+jwt")
_JWS = PyJWS(algorithms=["HS256", "RS256"])

Seconds = Annotated[float, Meta(ge=0, le=2**40)]


class BadToken(Exception):
    """Not a token we accept. The sentence names no secret and repeats nothing of the token."""


class UnknownKey(BadToken):
    """A key id that our key set does not have; it may be newer than the set."""


class KeySet(Protocol):
    """Public keys of an issuer, by key id."""

    def key(self, key_id: str) -> "jwt.PyJWK | None":
        """None when there is none of that name; an empty name stands for the only one."""


class TokenRules(Struct, frozen=True):
    """What this installation accepts."""

    issuer: str
    audience: str
    secrets: Sequence[bytes] = ()
    """For HS256; the first signs, all verify, so that one can follow another."""
    keys: KeySet | None = None
    """For RS256."""


class _Claims(Struct):
    iss: str
    aud: str | list[str]
    exp: Seconds
    iat: Seconds
    sub: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:@-]{1,64}\Z")]
    role: Role
    operator_id: Annotated[int, Meta(ge=1, le=524_287)]
    nbf: Seconds = 0.0


_decode_claims = msgspec.json.Decoder(_Claims).decode


def verify(token: str, rules: TokenRules, *, now_s: float) -> Principal:
    """Whom the token speaks for. Raises UnknownKey, BadToken."""
    if len(token) > MAX_TOKEN_BYTES:
        raise BadToken("the token is too long")
    try:
        header = jwt.get_unverified_header(token)
    except (InvalidTokenError, ValueError, RecursionError) as error:
        raise BadToken("this is no token") from error
    payload = _verified(token, header, rules)
    try:
        claims = _decode_claims(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadToken(
            "a claim is missing or wrong: iss, aud, exp, iat, sub, role and operator_id"
        ) from error
    _judge(claims, rules, now_s)
    return Principal(claims.role, claims.sub, claims.operator_id, claims.iat, claims.exp)


def mint(principal: Principal, rules: TokenRules, *, now_s: float, life_s: float) -> str:
    """An HS256 token. Raises ValueError without a secret or beyond the longest life."""
    if not rules.secrets or not 0 < life_s <= MAX_LIFE_S:
        raise ValueError("a token needs a secret and a life of at most a day")
    claims = {
        "iss": rules.issuer,
        "aud": rules.audience,
        "iat": int(now_s),
        "exp": int(now_s + life_s),
        "sub": principal.subject,
        "role": principal.role.value,
        "operator_id": principal.operator_id,
    }
    return jwt.encode(claims, rules.secrets[0], algorithm="HS256")


def _verified(token: str, header: Mapping[str, object], rules: TokenRules) -> bytes:
    """The payload. The header only chooses between keys that are ours, never says what a key is."""
    if str(header.get("typ") or "JWT").lower() not in _TYPES or "crit" in header or "b64" in header:
        raise BadToken("this is another kind of token")
    if header.get("alg") == "HS256" and rules.secrets:
        return _by_any(token, rules.secrets)
    if header.get("alg") == "RS256" and rules.keys is not None:
        key_id = header.get("kid", "")
        key = rules.keys.key(key_id) if isinstance(key_id, str) else None
        if key is None:
            raise UnknownKey("the token is signed with a key that we do not know")
        return _payload(token, key, "RS256")
    raise BadToken("the token's algorithm is not accepted")


def _by_any(token: str, secrets: Sequence[bytes]) -> bytes:
    for secret in secrets[:-1]:
        try:
            return _payload(token, secret, "HS256")
        except BadToken:
            continue
    return _payload(token, secrets[-1], "HS256")


def _payload(token: str, key: "bytes | jwt.PyJWK", algorithm: str) -> bytes:
    try:
        payload: bytes = _JWS.decode_complete(token, key, algorithms=[algorithm])["payload"]
    except (InvalidTokenError, ValueError, TypeError, RecursionError) as error:
        raise BadToken("the token's signature is not ours") from error
    return payload


def _judge(claims: _Claims, rules: TokenRules, now_s: float) -> None:
    audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
    if claims.iss != rules.issuer or rules.audience not in audiences:
        raise BadToken("the token is of another issuer or for another audience")
    if now_s >= claims.exp + LEEWAY_S:
        raise BadToken("the token has expired")
    if claims.iat > now_s + LEEWAY_S or claims.nbf > now_s + LEEWAY_S:
        raise BadToken("the token is not valid yet")
    if not 0 < claims.exp - claims.iat <= MAX_LIFE_S:
        raise BadToken("the token is made for longer than a day")
