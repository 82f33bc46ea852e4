"""A route that asks who is there before it reads anything else of the request."""

from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from api.auth.policy import allowed_methods
from api.problems import Problem


class GuardedRoute(APIRoute):
    """Every route of the API is one; who may ask stands in the table of `policy.py`."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As the base, for those who may. Raises Problem, StoreUnavailable for the others."""
        if scope["method"] not in (self.methods or ()):
            allow = ", ".join(allowed_methods(self.path_format))
            raise Problem("method_not_allowed", 405, f"There is {allow} here.", headers={"Allow": allow})
        gate = scope["state"]["world"].gate
        scope["principal"] = await gate.admit(scope["method"], self.path_format, scope["headers"])
        await super().handle(scope, receive, send)
