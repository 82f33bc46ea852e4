"""Answers that must not wait for the framework: a route of bytes in front of the application."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request

from api.auth.principal import Principal
from api.problems import Problem, problem_response, store_away
from api.telemetry import App, Message, Receive, Send
from api.world import World
from gateway.ports import StoreUnavailable

Answer = Callable[[World, Principal, bytes], Awaitable[bytes]]
"""From who asks and the query string to the JSON; raises Problem."""


class DirectRoute:
    """GET of one path, answered here; everything else goes on to the application, which documents it too."""

    def __init__(self, app: App, path: str, answer: Answer) -> None:
        self._app = app
        self.path = path
        self._answer = answer

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != self.path or scope["method"] != "GET":
            return await self._app(scope, receive, send)
        scope["route"] = self
        try:
            world = scope["state"]["world"]
            principal = await world.gate.admit("GET", self.path, scope["headers"])
            body = await self._answer(world, principal, scope["query_string"])
        except StoreUnavailable as error:
            return await store_away(Request(scope), error)(scope, receive, send)
        except Problem as problem:
            return await problem_response(Request(scope), problem)(scope, receive, send)
        length = str(len(body)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return None
