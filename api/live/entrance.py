"""Who may open a map conversation, and for how long it may go on."""

from collections import Counter
from http import HTTPStatus
from urllib.parse import parse_qsl

from msgspec import Struct, field
from websockets.datastructures import Headers, MultipleValuesError
from websockets.http11 import Request

from api.auth.doors import Doors
from api.auth.gate import Gate
from api.auth.policy import ROUTES
from api.auth.principal import Principal, Role
from api.auth.tokens import BadToken
from api.live.session import Viewer

PATH = "/v1/live"

HELLO_WITHIN_S = 5.0
"""From the upgrade to the frame that says who is asking."""

MAX_OF_ONE_RIDER = 8
"""Conversations at once: a phone has one, and while its network changes the one before is not gone yet. Each costs the
loop that everyone shares, and a token costs its rider nothing."""

_SECRETS_IN_URLS = frozenset({"token", "access_token", "authorization", "key", "api_key"})


class Refusal(Struct, frozen=True):
    """Why an upgrade request gets no WebSocket."""

    status: HTTPStatus
    text: str


class TooMany(Exception):
    """This rider has as many conversations as one may have."""


class Crowd:
    """How many conversations each rider has in this process; nobody else is counted."""

    def __init__(self) -> None:
        self._of: Counter[tuple[int, str]] = Counter()

    def enter(self, principal: Principal) -> None:
        """Raises TooMany."""
        if principal.role is Role.RIDER:
            who = (principal.operator_id, principal.subject)
            if self._of[who] >= MAX_OF_ONE_RIDER:
                raise TooMany("you have too many maps open")
            self._of[who] += 1

    def leave(self, principal: Principal) -> None:
        """One that was let in ended."""
        if principal.role is Role.RIDER:
            who = (principal.operator_id, principal.subject)
            self._of[who] -= 1
            if not self._of[who]:
                del self._of[who]


class Entrance(Struct, frozen=True):
    """What every conversation of one process goes through."""

    gate: Gate
    doors: Doors
    crowd: Crowd = field(default_factory=Crowd)

    def refusal(self, request: Request) -> Refusal | None:
        """Judges all of the request but the token."""
        path, _, query = request.path.partition("?")
        if path != PATH:
            return Refusal(HTTPStatus.NOT_FOUND, f"the live map is at {PATH}\n")
        try:
            host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
        except MultipleValuesError:
            return Refusal(HTTPStatus.BAD_REQUEST, "Host and Origin are said once\n")
        if not self.doors.is_host(host):
            return Refusal(HTTPStatus.MISDIRECTED_REQUEST, "this is another host; see LATCHKEY_API_HOSTS\n")
        if not self.doors.is_origin(origin, host):
            return Refusal(HTTPStatus.FORBIDDEN, "this page is of another origin; see LATCHKEY_API_ORIGINS\n")
        if _SECRETS_IN_URLS & {name.lower() for name, _ in parse_qsl(query, keep_blank_values=True)}:
            # Addresses are kept in logs and histories.
            return Refusal(HTTPStatus.BAD_REQUEST, "a token in an address is not taken: send a hello frame\n")
        return None

    async def identify(self, token: str) -> Principal:
        """Raises BadToken, also for a role that may not watch; StoreUnavailable."""
        principal = await self.gate.identify(token)
        who = ROUTES["GET", PATH]
        if not isinstance(who, frozenset) or principal.role not in who:
            raise BadToken("this role may not watch the map")
        return principal

    def is_over(self, principal: Principal) -> bool:
        """Whether its token has expired or was taken back."""
        return self.gate.now_s() >= principal.until_s or self.gate.is_revoked(principal)


def refusal_of(error: Exception) -> Refusal:
    """The answer to an upgrade request whose token did not open it."""
    match error:
        case BadToken():
            return Refusal(HTTPStatus.UNAUTHORIZED, f"{error}\n")
        case TooMany():
            return Refusal(HTTPStatus.TOO_MANY_REQUESTS, f"{error}\n")
        case _:
            return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "a store is out of reach\n")


def bearer_in(headers: Headers) -> str | None:
    """The token of the Authorization header; empty when it holds something else, None without one."""
    said = headers.get_all("Authorization")
    if not said:
        return None
    scheme, _, token = said[0].partition(" ")
    return token.strip() if scheme.lower() == "bearer" and len(said) == 1 else ""


def viewer_of(principal: Principal) -> Viewer:
    """As far as the map cares."""
    return Viewer(principal.operator_id, principal.role is Role.RIDER)
