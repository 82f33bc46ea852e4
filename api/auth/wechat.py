"""Riders log in with a code of their mini-program; the other server says whose it is, and we keep only a keyed hash."""

import hashlib
import hmac
from typing import Final

import structlog
from msgspec import Struct

from api.auth.fetching import FetchFailed, fetch_json
from api.auth.principal import Principal, Role
from api.auth.settings import WeChatSettings
from api.auth.tokens import TokenRules, mint
from api.problems import Problem
from gateway.people import People
from gateway.ports import Clock

RIDER_TOKEN_S: Final = 2 * 3600.0
"""A mini-program logs in again without asking anybody."""

MAX_OPENID_CHARS: Final = 128

_REFUSED: Final = frozenset({40029, 40163})
"""The code is none, or was used before."""
_BLOCKED: Final = 40226
_TOO_OFTEN: Final = frozenset({45011, 45009})

log = structlog.get_logger()


class RiderToken(Struct, frozen=True):
    """What a rider who logged in gets."""

    token: str
    expires_in_s: int


class WeChatLogin:
    """Asks the other server once per login, with a deadline; its session key is never read."""

    def __init__(self, settings: WeChatSettings, people: People, rules: TokenRules, clock: Clock) -> None:
        self._settings = settings
        self._people = people
        self._rules = rules
        self._clock = clock

    async def login(self, code: str) -> RiderToken:
        """Raises Problem, StoreUnavailable."""
        openid = await self._openid_of(code)
        person_id = await self._people.rider(self._settings.operator_id, self._hash(openid))
        who = Principal(Role.RIDER, person_id, self._settings.operator_id)
        now_s = self._clock.now_ms() / 1000
        return RiderToken(mint(who, self._rules, now_s=now_s, life_s=RIDER_TOKEN_S), int(RIDER_TOKEN_S))

    async def _openid_of(self, code: str) -> str:
        settings = self._settings
        query = {
            "appid": settings.app_id,
            "secret": settings.secret,
            "js_code": code,
            "grant_type": "authorization_code",
        }
        try:
            answer = await fetch_json(settings.url, query)
        except FetchFailed as error:
            log.warning("wechat_unavailable", reason=str(error))
            raise _away() from error
        if not isinstance(answer, dict):
            raise _away()
        if errcode := answer.get("errcode"):
            raise _problem_of(errcode if isinstance(errcode, int) else -1)
        openid = answer.get("openid")
        if not isinstance(openid, str) or not 1 <= len(openid) <= MAX_OPENID_CHARS:
            log.warning("wechat_unavailable", reason="an answer without an openid")
            raise _away()
        return openid

    def _hash(self, openid: str) -> bytes:
        told = f"{self._settings.app_id}:{openid}".encode()
        return hmac.new(self._settings.person_hash_key, told, hashlib.sha256).digest()


def _problem_of(errcode: int) -> Problem:
    if errcode in _REFUSED:
        return Problem("login_refused", 401, "The code is none, or was used before. Get a new one.")
    if errcode == _BLOCKED:
        return Problem("login_blocked", 403, "WeChat has blocked this login as unsafe.")
    if errcode in _TOO_OFTEN:
        return Problem("too_many_requests", 429, "WeChat wants a pause.", retry_after_s=60)
    # A wrong app id or secret among them: a rider can do nothing about that.
    log.error("wechat_refused", errcode=errcode)
    return _away()


def _away() -> Problem:
    return Problem("login_unavailable", 503, "WeChat gave no answer that helps; try again.", retry_after_s=5)
