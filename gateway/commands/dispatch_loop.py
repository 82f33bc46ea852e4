"""Wakes the dispatcher: at a notice, at its own times, and again when a store that was away may be back."""

import asyncio
from typing import Final

from gateway import telemetry
from gateway.command_ports import CommandRecord
from gateway.commands.dispatch import Dispatch
from gateway.ports import Clock, StoreUnavailable

AGAIN_S: Final = 0.25
"""After a store did not answer."""

log = telemetry.logger()


class DispatchLoop:
    """One per process. `wake` may be called from any callback of the loop, as often as one likes."""

    def __init__(self, dispatch: Dispatch, clock: Clock) -> None:
        self._dispatch = dispatch
        self._clock = clock
        self._awake = asyncio.Event()
        self._ending = asyncio.Event()
        self.failure = ""
        """Why the last turn could not be finished; empty when it was."""
        self.ended = asyncio.Event()
        """Set when `run` has returned."""

    def wake(self, issued: CommandRecord | None = None) -> None:
        """Something was issued, this or one that the store knows: take it now."""
        self._dispatch.noticed(issued)
        self._awake.set()

    def stir(self) -> None:
        """What is known may have become ready; the store knows nothing new."""
        self._awake.set()

    def end(self) -> None:
        """After the present turn: what was claimed is published, and nothing more is claimed."""
        self._ending.set()
        self._awake.set()

    async def run(self) -> None:
        """Until cancelled, or told to end."""
        while not self._ending.is_set():
            self._awake.clear()
            pause_s = await self._turn()
            try:
                async with asyncio.timeout(0.0 if self._ending.is_set() else pause_s):
                    await self._awake.wait()
            except TimeoutError:
                continue
        self.ended.set()

    async def _turn(self) -> float:
        """How long nothing more is due."""
        try:
            await self._dispatch.turn()
        except StoreUnavailable as error:
            self.failure = str(error)[:200]
            log.warning("commands_wait", reason=self.failure)
            return AGAIN_S
        self.failure = ""
        return max(0.001, (self._dispatch.next_due_ms() - self._clock.now_ms()) / 1000)
