"""Who is at the other end of one connection: asked once it says so, and again with each fresh token."""

import asyncio
from collections.abc import Callable
from math import inf

from api.auth.principal import Principal
from api.auth.tokens import BadToken
from api.live.entrance import HELLO_WITHIN_S, Entrance, TooMany
from gateway.ports import StoreUnavailable

Outcome = Principal | BadToken | TooMany | StoreUnavailable


class Admission:
    """Holds back what the client says while it is being found out."""

    def __init__(self, entrance: Entrance, *, now_s: float) -> None:
        self._entrance = entrance
        self._hello_by_s = now_s + HELLO_WITHIN_S
        self._principal: Principal | None = None
        self._asking: asyncio.Task[None] | None = None
        self.key = ""
        """The key that opened the conversation; empty where a token did, which ends by itself."""
        self.held: list[bytes] = []
        """Frames that came meanwhile: no more than one read brings, because nothing is read on."""

    @property
    def is_asking(self) -> bool:
        """Whether frames must wait."""
        return self._asking is not None

    def is_over(self, now_s: float) -> bool:
        """Whether the client has not said in time who it is, or may not go on. `now_s` is the loop's time."""
        if self._principal is None:
            return now_s > self._hello_by_s
        return self._entrance.is_over(self._principal)

    def ask(self, token: str, then: Callable[[Outcome], None]) -> None:
        """Calls `then` in a later turn of the loop, unless it is cancelled before."""
        self._asking = asyncio.get_running_loop().create_task(self._ask(token, then))

    def take_held(self) -> list[bytes]:
        """What the client said meanwhile."""
        held, self.held = self.held, []
        return held

    def cancel(self) -> None:
        """The connection is gone."""
        if self._asking is not None:
            self._asking.cancel()
        self._leave()

    async def _ask(self, token: str, then: Callable[[Outcome], None]) -> None:
        outcome: Outcome
        try:
            outcome = principal = await self._entrance.identify(token)
            # With a fresh token of its own a conversation keeps its place.
            self._leave()
            self._entrance.crowd.enter(principal)
            self._principal = principal
            self.key = token if principal.until_s == inf else ""
        except (BadToken, TooMany, StoreUnavailable) as error:
            outcome = error
        self._asking = None
        then(outcome)

    def _leave(self) -> None:
        if self._principal is not None:
            self._entrance.crowd.leave(self._principal)
            self._principal = None
