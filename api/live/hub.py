"""All map clients of one process."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from api.auth.tokens import BadToken
from api.live.entrance import Entrance
from api.live.fleet_view import Succession
from api.live.session import SharedView
from api.live.watches import Watcher
from gateway.ports import StoreUnavailable

SWEEP_S = 0.5

KEYS_AGAIN_S = 5.0
"""How often the keys of open conversations are looked at again."""


class Connected(Protocol):
    """One client, as far as the hub cares."""

    @property
    def key(self) -> str:
        """The API key that opened it, or nothing."""

    def flush(self) -> None: ...

    def check(self, now_s: float) -> None: ...

    def end(self) -> None: ...


class LiveHub:
    """Tells clients of changes, and looks after them."""

    def __init__(self, shared: SharedView, entrance: Entrance) -> None:
        self.shared = shared
        self.entrance = entrance
        self.sockets: dict[Watcher, Connected] = {}
        self.closed_stuck = 0
        self.frames_sent = 0

    def tell(self, changes: Sequence[Succession]) -> None:
        """Changes of the view reach whoever watches there; without any, everyone checks what is due."""
        woken: set[Watcher] = set() if changes else set(self.sockets)
        for change in changes:
            woken |= self.shared.watches.tell(change)
        for watcher in woken:
            if watcher in self.sockets:
                self.sockets[watcher].flush()

    async def sweep(self) -> None:
        """For ever: pings, and closes who stopped reading or may not go on. Cancel to stop."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_S)
            now_s = loop.time()
            for one in list(self.sockets.values()):
                one.check(now_s)

    async def watch_keys(self) -> None:
        """For ever: ends conversations whose key was revoked. Cancel to stop."""
        while True:
            await asyncio.sleep(KEYS_AGAIN_S)
            for key in {one.key for one in self.sockets.values() if one.key}:
                try:
                    await self.entrance.identify(key)
                except BadToken:
                    for one in [one for one in self.sockets.values() if one.key == key]:
                        one.end()
                except StoreUnavailable:
                    # A map that was allowed goes on: who was told to come back could not be let in.
                    continue
