"""What the API is told about tokens, pages, proxies and the login with WeChat, read once."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from api.auth.doors import Doors, doors_of
from api.auth.fetching import checked_url
from api.auth.jwks import BadKeySet, IssuerKeys, parse_key_set
from api.auth.tokens import MIN_SECRET_BYTES, TokenRules
from api.bad_settings import BadSettings

MAX_SECRETS = 4
"""One signs; the others are on their way out."""

WECHAT_URL = "https://api.weixin.qq.com/sns/jscode2session"


class WeChatSettings(Struct, frozen=True):
    """The mini-program riders log in with."""

    url: str
    app_id: str
    secret: str
    operator_id: int
    person_hash_key: bytes
    """Openids are kept as HMAC-SHA256 with it only; with another key every rider is somebody new."""


class AuthSettings(Struct, frozen=True):
    """From LATCHKEY_* variables."""

    issuer: str
    audience: str
    secrets: tuple[bytes, ...]
    jwks: str
    """A file or an address; empty without."""
    doors: Doors
    wechat: WeChatSettings | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], *, bound_host: str) -> "AuthSettings":
        """Raises BadSettings, with the variable to set."""
        secrets = _secrets(environment)
        return cls(
            issuer=environment.get("LATCHKEY_API_JWT_ISSUER") or "latchkey",
            audience=environment.get("LATCHKEY_API_JWT_AUDIENCE") or "latchkey-api",
            secrets=secrets,
            jwks=_jwks(environment.get("LATCHKEY_API_JWKS") or ""),
            doors=_doors(environment, bound_host),
            wechat=_wechat(environment, secrets),
        )

    def signing_rules(self) -> TokenRules:
        """For whoever makes tokens of ours."""
        return TokenRules(self.issuer, self.audience, self.secrets)

    def rules(self, monotonic_s: Callable[[], float]) -> TokenRules:
        """What tokens are judged by. Raises BadSettings for a key file that is none."""
        return TokenRules(self.issuer, self.audience, self.secrets, _issuer_keys(self.jwks, monotonic_s))


def secret_of(environment: Mapping[str, str], name: str) -> str:
    """The variable, or the content of the file that NAME_FILE names; empty without. Raises BadSettings."""
    path = environment.get(f"{name}_FILE", "")
    if not path:
        return environment.get(name, "")
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(f"{name}_FILE cannot be read: {type(error).__name__}") from None


def _secrets(environment: Mapping[str, str]) -> tuple[bytes, ...]:
    name = "LATCHKEY_API_JWT_SECRET"
    listed = [one.strip().encode() for one in secret_of(environment, name).split(",") if one.strip()]
    if any(len(one) < MIN_SECRET_BYTES for one in listed):
        raise BadSettings(
            f"{name} has fewer than {MIN_SECRET_BYTES} bytes; make one: openssl rand -base64 48"
        )
    if len(listed) > MAX_SECRETS:
        raise BadSettings(f"{name} names more than {MAX_SECRETS} secrets")
    return tuple(listed)


def _jwks(text: str) -> str:
    if text.startswith(("http://", "https://")):
        try:
            return checked_url(text)
        except ValueError as error:
            raise BadSettings(f"LATCHKEY_API_JWKS {error}") from None
    return text


def _issuer_keys(jwks: str, monotonic_s: Callable[[], float]) -> IssuerKeys | None:
    if not jwks:
        return None
    if jwks.startswith(("http://", "https://")):
        return IssuerKeys({}, url=jwks, monotonic_s=monotonic_s)
    try:
        keys = parse_key_set(json.loads(Path(jwks).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        reason = str(error) if isinstance(error, BadKeySet) else type(error).__name__
        raise BadSettings(f"LATCHKEY_API_JWKS is no key set: {reason}") from None
    return IssuerKeys(keys, url="", monotonic_s=monotonic_s)


def _doors(environment: Mapping[str, str], bound_host: str) -> Doors:
    try:
        return doors_of(
            bound_host,
            hosts=_listed(environment, "LATCHKEY_API_HOSTS"),
            origins=_listed(environment, "LATCHKEY_API_ORIGINS"),
            proxies=_listed(environment, "LATCHKEY_API_TRUSTED_PROXIES"),
        )
    except ValueError as error:
        raise BadSettings(
            f"LATCHKEY_API_HOSTS, LATCHKEY_API_ORIGINS or LATCHKEY_API_TRUSTED_PROXIES: {error}"
        ) from None


def _wechat(environment: Mapping[str, str], secrets: Sequence[bytes]) -> WeChatSettings | None:
    app_id = environment.get("LATCHKEY_WECHAT_APP_ID", "")
    if not app_id:
        return None
    secret = secret_of(environment, "LATCHKEY_WECHAT_SECRET")
    hash_key = secret_of(environment, "LATCHKEY_PERSON_HASH_KEY").encode()
    if not secret:
        raise BadSettings("LATCHKEY_WECHAT_SECRET is not set, though LATCHKEY_WECHAT_APP_ID is")
    if len(hash_key) < MIN_SECRET_BYTES:
        raise BadSettings(
            f"LATCHKEY_PERSON_HASH_KEY has fewer than {MIN_SECRET_BYTES} bytes; make one: openssl rand -base64 48"
        )
    if not secrets:
        raise BadSettings("LATCHKEY_API_JWT_SECRET is not set: riders who log in get tokens signed with it")
    operator = environment.get("LATCHKEY_WECHAT_OPERATOR_ID") or "1"
    if not operator.isascii() or not operator.isdigit() or not 1 <= int(operator) <= 524_287:
        raise BadSettings("LATCHKEY_WECHAT_OPERATOR_ID is no operator's number, 1 to 524287")
    try:
        url = checked_url(environment.get("LATCHKEY_WECHAT_URL") or WECHAT_URL)
    except ValueError as error:
        raise BadSettings(f"LATCHKEY_WECHAT_URL {error}") from None
    return WeChatSettings(url, app_id, secret, int(operator), hash_key)


def _listed(environment: Mapping[str, str], name: str) -> list[str]:
    return [one.strip() for one in (environment.get(name) or "").split(",") if one.strip()]
