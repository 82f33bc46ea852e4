"""Who waits for which command, woken by one listening connection for all."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from uuid import UUID

from gateway.ports import StoreUnavailable

POLL_EVERY_S = 1.0
"""A notice that was lost costs no more than this."""


class SettledWaits:
    """Wakes everyone who waits for a command. Begin to wait, then look at the command: nothing is missed."""

    def __init__(self) -> None:
        self._waiting: dict[UUID, set[asyncio.Event]] = defaultdict(set)

    @contextmanager
    def waiting(self, command_id: UUID) -> Iterator[asyncio.Event]:
        """The event is set at each wake-up of this command."""
        event = asyncio.Event()
        self._waiting[command_id].add(event)
        try:
            yield event
        finally:
            self._waiting[command_id].discard(event)
            if not self._waiting[command_id]:
                del self._waiting[command_id]

    def wake(self, payload: str) -> None:
        """A notice; one that names no command wakes nobody."""
        try:
            self._wake(UUID(payload))
        except ValueError:
            return

    def wake_all(self) -> None:
        """Notices may have been lost: everyone looks."""
        for command_id in list(self._waiting):
            self._wake(command_id)

    async def poll(self, done: Callable[[Collection[UUID]], Awaitable[Collection[UUID]]]) -> None:
        """For ever: asks for all at once which of those waited for are done, and wakes them."""
        while True:
            await asyncio.sleep(POLL_EVERY_S)
            if not self._waiting:
                continue
            try:
                for command_id in await done(list(self._waiting)):
                    self._wake(command_id)
            except StoreUnavailable:
                # Whoever waits until its time is over learns it there.
                continue

    def _wake(self, command_id: UUID) -> None:
        for event in self._waiting.get(command_id, ()):
            event.set()
