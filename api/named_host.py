"""Takes only requests for our own names: a page whose name was pointed at this machine says another."""

from starlette.requests import Request

from api.auth.doors import Doors, misdirected
from api.problems import problem_response
from api.telemetry import Message, QuickApp, Receive, Send


class NamedHost:
    """An ASGI application in front of the one inside it."""

    def __init__(self, app: QuickApp, doors: Doors) -> None:
        self._app = app
        self._doors = doors

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._doors.is_host(host := _host_of(scope)):
            return await problem_response(Request(scope), misdirected(host))(scope, receive, send)
        return await self._app(scope, receive, send)

    def at_once(self, scope: Message) -> bytes | None:
        """As the one inside it; nothing for another name, which is told so the usual way."""
        return self._app.at_once(scope) if self._doors.is_host(_host_of(scope)) else None


def _host_of(scope: Message) -> str:
    """Empty when none is named, or two, of which a proxy may have seen the other."""
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    return hosts[0].decode("latin-1") if len(hosts) == 1 else ""
