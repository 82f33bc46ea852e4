"""Takes only requests for our own names: a page whose name was pointed at this machine says another."""

from starlette.requests import Request

from api.auth.doors import Doors, misdirected
from api.problems import problem_response
from api.telemetry import App, Message, Receive, Send


class NamedHost:
    """An ASGI application in front of the one inside it."""

    def __init__(self, app: App, doors: Doors) -> None:
        self._app = app
        self._doors = doors

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._doors.hosts is not None:
            hosts = [value for name, value in scope["headers"] if name == b"host"]
            host = hosts[0].decode("latin-1") if len(hosts) == 1 else ""
            if not self._doors.is_host(host):
                return await problem_response(Request(scope), misdirected(host))(scope, receive, send)
        return await self._app(scope, receive, send)
