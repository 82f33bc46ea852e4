"""Refuses a body that says it is too large before any of it is read."""

from starlette.requests import Request

from api.problems import body_too_large, problem_response
from api.telemetry import App, Message, Receive, Send


class BoundedBody:
    """An ASGI application in front of the one inside it, which counts what comes without a length."""

    def __init__(self, app: App, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _said_bytes(scope) > self._max_bytes:
            return await problem_response(Request(scope), body_too_large())(scope, receive, send)
        return await self._app(scope, receive, send)


def _said_bytes(scope: Message) -> int:
    """By the header; 0 without one. The HTTP parser refuses what is no number."""
    said = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    return int(said) if said.isdigit() else 0
