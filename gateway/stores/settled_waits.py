"""Who waits for which command, woken by one listening connection for all."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from uuid import UUID

from gateway.command_ports import CommandRecord
from gateway.ports import StoreUnavailable
from gateway.stores.bounded import Bounded
from gateway.stores.command_rows import command_heard

POLL_EVERY_S = 1.0
"""A notice that was lost costs no more than this."""

MAX_HEARD = 1_000
"""Ends of commands that nobody waited for yet: whoever ordered one begins to wait within milliseconds."""


class Waiting:
    """One who waits for one command."""

    def __init__(self) -> None:
        self.woken = asyncio.Event()
        self.heard: CommandRecord | None = None
        """The command as the newest notice told it; None when one only said that it is worth a look."""


class SettledWaits:
    """Wakes everyone who waits for a command. Begin to wait, then look at the command: nothing is missed. Who ordered
    it a moment ago need not look: what was heard before the waiting began wakes too."""

    def __init__(self) -> None:
        self._waiting: dict[UUID, set[Waiting]] = defaultdict(set)
        self._heard: Bounded[UUID, CommandRecord] = Bounded(MAX_HEARD)

    @contextmanager
    def waiting(self, command_id: UUID) -> Iterator[Waiting]:
        """Woken at each notice about this command."""
        one = Waiting()
        if (heard := self._heard.pop(command_id, None)) is not None:
            one.heard = heard
            one.woken.set()
        self._waiting[command_id].add(one)
        try:
            yield one
        finally:
            self._waiting[command_id].discard(one)
            if not self._waiting[command_id]:
                del self._waiting[command_id]

    def wake(self, payload: str) -> None:
        """A notice; one that names no command wakes nobody."""
        heard = command_heard(payload)
        if heard is None:
            try:
                self._wake(UUID(payload), None)
            except ValueError:
                return
        elif heard.command_id in self._waiting:
            self._wake(heard.command_id, heard)
        else:
            self._heard.keep(heard.command_id, heard)

    def wake_all(self) -> None:
        """Notices may have been lost: everyone looks."""
        for command_id in list(self._waiting):
            self._wake(command_id, None)

    async def poll(self, done: Callable[[Collection[UUID]], Awaitable[Collection[UUID]]]) -> None:
        """For ever: asks for all at once which of those waited for are done, and wakes them."""
        while True:
            await asyncio.sleep(POLL_EVERY_S)
            if not self._waiting:
                continue
            try:
                for command_id in await done(list(self._waiting)):
                    self._wake(command_id, None)
            except StoreUnavailable:
                # Whoever waits until its time is over learns it there.
                continue

    def _wake(self, command_id: UUID, heard: CommandRecord | None) -> None:
        for one in self._waiting.get(command_id, ()):
            one.heard = heard
            one.woken.set()
