"""Keeps the fleet view equal to Redis: fills it per shard, follows the feed, fills again after a gap."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf

from api.live.fleet_view import FleetView, Succession
from firmware_protocol.messages import DeviceId
from gateway.core.feed import FeedEntry, FeedGap, FeedPart, FeedPosition
from gateway.feed_port import ChangeFeed
from gateway.ports import Clock, FeedEpochLost, StoreUnavailable

STALE_AFTER_S = 3.0
"""Longer than any pause of a healthy Redis, shorter than a person waits for a bike to move."""

SILENT_AFTER_S = 14.0
"""Nobody spoke for a shard for so long: owners speak every 5 to 7.5 s even when nothing changes. Together with one
read of the feed this stays below the 15 s after which a map says that it may be old."""

_WAIT_MS = 500
"""How long one read of the feed waits; also how soon a silent feed is told from a dead one."""

_RETRY_S = 0.25
"""Between attempts at a store that is away or a shard that nobody has begun."""

_APPLIED_AT_ONCE = 200
"""Changes between two turns of the loop: about 1 ms, so nobody's frame waits for a burst."""

Tell = Callable[[Sequence[Succession]], None]


@dataclass(slots=True)
class _Shard:
    number: int
    position: FeedPosition | None = None
    """None until it was filled, and again after a gap."""
    members: set[DeviceId] = field(default_factory=set)
    revisions: dict[DeviceId, int] = field(default_factory=dict)
    """What the fill read, until the feed has caught up with it: older changes are not applied."""
    caught_up_at: int = 0
    heard_at_s: float = 0.0
    """When its owner last spoke, if only to say that nothing changed."""


class FeedRelay:
    """Follows the feed of all shards into the view and tells what came of it."""

    def __init__(
        self,
        feed: ChangeFeed,
        view: FleetView,
        clock: Clock,
        *,
        shards: int,
        tell: Tell,
        filled: Callable[[], None] = lambda: None,
    ) -> None:
        self._feed = feed
        self._view = view
        self._clock = clock
        self._shards = [_Shard(number) for number in range(shards)]
        self._tell = tell
        self._filled = filled
        self._heard_at_s = clock.monotonic_s()
        self._owners_vouch_until_s = -inf
        self._told_stale = True
        self.trouble = "the feed has not been read yet"
        """Why the view is not live, for a person; empty while it is."""
        self.fills = 0
        """Shards filled since the start; more than there are shards means gaps."""

    @property
    def is_stale(self) -> bool:
        """Whether the view may lag behind the devices: not filled, in a gap, Redis out of reach, or a shard for
        which no gateway speaks."""
        now_s = self._clock.monotonic_s()
        return now_s > self._owners_vouch_until_s or now_s - self._heard_at_s > STALE_AFTER_S

    @property
    def shards_missing(self) -> int:
        """How many shards wait to be filled."""
        return sum(shard.position is None for shard in self._shards)

    async def run(self) -> None:
        """For ever; failures of the store are waited out. Cancel to stop."""
        while True:
            await asyncio.sleep(await self.step())

    async def step(self) -> float:
        """Fills what is missing, then applies what the feed says next. Returns the seconds to wait before the
        next step: 0 unless a store is away or nothing has been begun."""
        pause_s = 0.0
        try:
            pause_s = await self._fill_and_follow()
        except FeedGap as gap:
            for shard in self._shards:
                if shard.number in gap.shards:
                    shard.position = None
            self.trouble = str(gap)
        except StoreUnavailable as error:
            self.trouble = f"Redis is out of reach: {error}"
            pause_s = _RETRY_S
        self._judge_owners()
        # Also turns true by time alone, between two steps.
        if self.is_stale != self._told_stale:
            self._told_stale = not self._told_stale
            self._tell(())
        return pause_s

    async def _fill_and_follow(self) -> float:
        await self._fill_missing()
        positions = {shard.number: shard.position for shard in self._shards if shard.position is not None}
        if not positions:
            return _RETRY_S
        complete = len(positions) == len(self._shards)
        parts = await self._feed.follow(positions, _WAIT_MS if complete else int(_RETRY_S * 1000))
        self._heard()
        if complete:
            self.trouble = ""
        for part in parts:
            self._shards[part.shard].heard_at_s = self._heard_at_s
            await self._follow(part)
        return 0.0

    async def _fill_missing(self) -> None:
        began_s = self._clock.monotonic_s()
        missing = [shard for shard in self._shards if shard.position is None]
        for shard in missing:
            await self._fill(shard)
        if all(shard.position is None for shard in missing):
            return
        # Nobody listened meanwhile, so nobody was silent.
        now_s = self._clock.monotonic_s()
        for shard in self._shards:
            shard.heard_at_s = now_s if shard in missing else shard.heard_at_s + now_s - began_s
        self._filled()

    def _judge_owners(self) -> None:
        """Until when the map counts as true without another word from any owner."""
        if any(shard.position is None for shard in self._shards):
            self._owners_vouch_until_s = -inf
            return
        self._owners_vouch_until_s = min(shard.heard_at_s for shard in self._shards) + SILENT_AFTER_S
        if self._clock.monotonic_s() > self._owners_vouch_until_s and not self.trouble:
            self.trouble = "no gateway speaks for shards " + " ".join(self._silent())

    def _silent(self) -> Iterator[str]:
        now_s = self._clock.monotonic_s()
        silent = (shard for shard in self._shards if now_s - shard.heard_at_s > SILENT_AFTER_S)
        return (f"{shard.number:02x}" for shard in silent)

    async def _fill(self, shard: _Shard) -> None:
        """Reads the whole shard and makes the view equal to it; without an epoch, leaves it as it is."""
        try:
            before = await self._feed.position(shard.number)
            staged = await self._read_all(shard)
            after = await self._feed.position(shard.number)
        except FeedEpochLost as error:
            self.trouble = str(error)
            return
        # A shard that was lost meanwhile was read in part: what was not would vanish from maps and come back.
        if after.epoch != before.epoch:
            return
        gone = shard.members - staged.keys()
        await self._apply(shard, [FeedEntry(device_id, 0, None) for device_id in gone])
        await self._apply(shard, list(staged.values()))
        shard.revisions = {device_id: entry.revision for device_id, entry in staged.items()}
        shard.caught_up_at = after.counter
        shard.position = before
        shard.heard_at_s = self._clock.monotonic_s()
        self.fills += 1

    async def _read_all(self, shard: _Shard) -> dict[DeviceId, FeedEntry]:
        staged: dict[DeviceId, FeedEntry] = {}
        cursor = 0
        while True:
            page = await self._feed.fill(shard.number, cursor)
            self._heard()
            for entry in page.entries:
                known = staged.get(entry.device_id)
                if known is None or entry.revision > known.revision:
                    staged[entry.device_id] = entry
            cursor = page.cursor
            if cursor == 0:
                return staged

    async def _follow(self, part: FeedPart) -> None:
        shard = self._shards[part.shard]
        known = shard.revisions
        news = [entry for entry in part.entries if entry.revision > known.get(entry.device_id, -1)]
        await self._apply(shard, news)
        shard.position = part.position
        if known and part.position.counter >= shard.caught_up_at:
            shard.revisions = {}

    async def _apply(self, shard: _Shard, entries: list[FeedEntry]) -> None:
        for some in _pieces(entries):
            changes = []
            for entry in some:
                if entry.entry is None:
                    shard.members.discard(entry.device_id)
                else:
                    shard.members.add(entry.device_id)
                change = self._view.apply(entry.device_id, entry.entry)
                if change is not None:
                    changes.append(change)
            self._tell(changes)
            if len(entries) > _APPLIED_AT_ONCE:
                await asyncio.sleep(0)

    def _heard(self) -> None:
        self._heard_at_s = self._clock.monotonic_s()


def _pieces(entries: list[FeedEntry]) -> Iterator[list[FeedEntry]]:
    return (entries[start : start + _APPLIED_AT_ONCE] for start in range(0, len(entries), _APPLIED_AT_ONCE))
