"""How long an answer waits for the report that shows the same."""

import asyncio
from collections.abc import Callable

ANSWERS_WAIT_S = 0.005
"""A report is stored within two or three milliseconds; nobody in front of a lock notices five."""


class EvidencePatience:
    """Implements `take_acks.Patience`; `stir` is to be called whenever answers were told."""

    def __init__(self) -> None:
        self._stirred = asyncio.Event()

    def stir(self) -> None:
        """Something was told: whoever waits looks."""
        self._stirred.set()

    async def until(self, done: Callable[[], bool]) -> None:
        """Once `done` says so, after ANSWERS_WAIT_S all the same."""
        try:
            async with asyncio.timeout(ANSWERS_WAIT_S):
                while not done():
                    self._stirred.clear()
                    await self._stirred.wait()
        except TimeoutError:
            return
