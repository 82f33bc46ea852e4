"""Answers that must not wait for the framework: routes of bytes in front of the application, which documents them."""

from collections.abc import Awaitable, Callable, Mapping

from msgspec import Struct
from starlette.requests import Request

from api.auth.principal import Principal
from api.problems import Problem, internal_error, problem_response, store_away
from api.telemetry import App, Message, Receive, Send
from api.world import World
from gateway.ports import StoreUnavailable


class DirectAnswer(Struct, frozen=True):
    """What is sent: JSON."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = {}


class DirectRoute:
    """GET of one path, answered here; everything else goes on to the application."""

    def __init__(
        self,
        app: App,
        path: str,
        answer: Callable[[World, Principal, bytes], Awaitable[bytes]],
        *,
        at_once: Callable[[World, Principal, bytes], bytes | None],
    ) -> None:
        """`answer` makes the JSON of who asks and the query string; raises Problem. So does `at_once`, of what needs
        no waiting; None for what does."""
        self._app = app
        self.path = path
        self._answer = answer
        self._at_once = at_once

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != self.path or scope["method"] != "GET":
            return await self._app(scope, receive, send)
        scope["route"] = self
        return await answered(scope, receive, send, self._asked)

    def at_once(self, scope: Message) -> bytes | None:
        """The answer to somebody who is known already; None when there is anything to wait for, or to refuse."""
        if scope["path"] != self.path:
            return None
        world: World = scope["state"]["world"]
        principal = world.gate.known("GET", self.path, scope["headers"])
        if principal is None:
            return None
        try:
            body = self._at_once(world, principal, scope["query_string"])
        except Exception:
            # Whatever it is, the usual way meets it again, and says it as every other error is said.
            return None
        scope["route"] = self
        return body

    async def _asked(self, scope: Message, world: World) -> DirectAnswer:
        principal = await world.gate.admit_somebody("GET", self.path, scope["headers"])
        return DirectAnswer(await self._answer(world, principal, scope["query_string"]))


async def answered(
    scope: Message, receive: Receive, send: Send, answer: Callable[[Message, World], Awaitable[DirectAnswer]]
) -> None:
    """Sends what `answer` gives, or the problem that it raises, as the application would."""
    try:
        given = await answer(scope, scope["state"]["world"])
    except StoreUnavailable as error:
        return await store_away(Request(scope), error)(scope, receive, send)
    except Problem as problem:
        return await problem_response(Request(scope), problem)(scope, receive, send)
    except Exception as error:
        return await internal_error(Request(scope), error)(scope, receive, send)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(given.body)).encode()),
        *((name.lower().encode(), value.encode()) for name, value in given.headers.items()),
    ]
    await send({"type": "http.response.start", "status": given.status, "headers": headers})
    await send({"type": "http.response.body", "body": given.body})
    return None
