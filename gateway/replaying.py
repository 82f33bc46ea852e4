"""Frames that a person marked in the quarantine, taken in page by page, each once."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from gateway.mqtt.replayed import Replayed, arrive_again
from gateway.ports import Arrived, Clock
from gateway.reading import QuarantineRow

Take = Callable[[list[Arrived]], Awaitable[None]]
"""A flow of reports. When it raises, it wants the same batch again."""


class MarkedFrames(Protocol):
    """The quarantine, as far as a replay needs it. Both raise StoreUnavailable."""

    async def marked(self) -> Sequence[QuarantineRow]:
        """The oldest marked frames; they stay until they are settled."""

    async def settle(self, numbers: Sequence[int]) -> int:
        """Forgets them."""


class ReplayPorts(Struct, frozen=True):
    """What a replay needs of the world."""

    quarantine: MarkedFrames
    refresh: Callable[[], Awaitable[None]]
    """Of the registry: what was mended is most often there, a moment ago."""
    lanes: Callable[[], Mapping[int, int]]
    """Those that are ours now, with their lease numbers."""
    new_flow: Callable[[], Take]
    clock: Clock


class _Page(Struct):
    """Marked frames on their way, as they arrived the first time."""

    again: Replayed
    lanes: dict[int, int]
    """Where they are from, with lease numbers."""
    take: Take
    is_stored: bool = False


class Replaying:
    """A page that a store kept from its end is given again as it was: what a frame without a number and a time of its
    own is filed under must be the same at every try, or each try would file it once more."""

    def __init__(self, ports: ReplayPorts) -> None:
        self._ports = ports
        self._page: _Page | None = None

    async def turn(self) -> int:
        """Takes in one page; returns how many frames. One that is still wrong is in quarantine again. Raises
        StoreUnavailable; then they stay marked, and the next turn goes on with them."""
        ports = self._ports
        if self._page is not None and not self._page.lanes.items() <= ports.lanes().items():
            # Whoever had a lane meanwhile has taken its frames.
            self._page = None
        page = self._page or await self._next_page()
        if page is None:
            return 0
        self._page = page
        if not page.is_stored:
            await page.take(page.again.reports)
            page.is_stored = True
        await ports.quarantine.settle(page.again.numbers)
        self._page = None
        return len(page.again.numbers)

    async def _next_page(self) -> _Page | None:
        ports = self._ports
        rows = await ports.quarantine.marked()
        if not rows:
            return None
        await ports.refresh()
        held = ports.lanes()
        again = arrive_again(rows, ports.clock.now_ms(), lanes=held)
        return _Page(again, {one.lane: held[one.lane] for one in again.reports}, ports.new_flow())
