"""Which lanes this gateway reads: leases kept, lost, and given back."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Protocol

from gateway.ports import Clock, Leases, StoreUnavailable

RENEW_EVERY_S = 3.0
"""A lease lasts 10 s: two renewals may fail before another gateway can take it."""

LEASE_S = 10.0
"""As the store gives it. Counted from before the renewal was asked for, so never longer than the store counts."""

TAKE_OVERS_MAX = 3
TAKE_OVER_WINDOW_S = 30.0
"""Two gateways that take a lane from each other do so every few seconds; a hand-over happens once."""


class LaneObserver(Protocol):
    """Who hears of lanes that come and go; called from the event loop, must not block."""

    def lanes_taken(self, lanes: frozenset[int]) -> None:
        """They are ours from now on."""

    def lanes_lost(self, lanes: frozenset[int]) -> None:
        """They are another's, or nobody's."""

    def lane_parked(self, lane: int) -> None:
        """It was taken from us too often, and is left alone."""


class TakeOvers:
    """Counts how often a lane was taken from us lately; pure."""

    def __init__(self) -> None:
        self._at_s: dict[int, deque[float]] = {}

    def note(self, lane: int, now_s: float) -> bool:
        """True when this one is too many: the lane must be parked."""
        times = self._at_s.setdefault(lane, deque())
        times.append(now_s)
        while times and times[0] < now_s - TAKE_OVER_WINDOW_S:
            times.popleft()
        return len(times) >= TAKE_OVERS_MAX


class LaneKeeper:
    """Holds leases for as many of the wanted lanes as it can get. While PostgreSQL is away it gives nothing up:
    nobody else can take a lease either."""

    def __init__(
        self, leases: Leases, owner: str, lanes: Sequence[int], clock: Clock, *, observer: LaneObserver
    ) -> None:
        self.held: dict[int, int] = {}
        """lane -> lease number."""
        self.parked: set[int] = set()
        """Lanes another client keeps taking; left alone until this process is started again."""
        self.store_away = False
        self.asked = False
        """Whether the leases were read at least once."""
        self._leases = leases
        self._owner = owner
        self._wanted = frozenset(lanes)
        self._clock = clock
        self._observer = observer
        self._take_overs = TakeOvers()
        self._reading: asyncio.Lock = asyncio.Lock()
        self._read_from_s = float("-inf")
        self._sure_until_s = float("-inf")
        self._closed = False

    @property
    def missing(self) -> frozenset[int]:
        """Wanted lanes that are not ours now."""
        return self._wanted - self.held.keys()

    def lease_of(self, lane: int) -> int | None:
        """Implements `command_ports.HeldLanes`: the number, while the lease cannot have run out yet."""
        return self.held.get(lane) if self._clock.monotonic_s() < self._sure_until_s else None

    async def run(self) -> None:
        """Renews for ever."""
        while True:
            await self._read()
            await asyncio.sleep(RENEW_EVERY_S)

    async def confirm(self, lane: int) -> bool:
        """Reads the lease: whether the lane is ours now. Calls that wait together share one read.
        Raises StoreUnavailable."""
        asked_at_s = self._clock.monotonic_s()
        async with self._reading:
            if self._read_from_s < asked_at_s:
                await self._read_locked()
            if self.store_away:
                raise StoreUnavailable("leases")
        return lane in self.held

    async def release(self) -> None:
        """Gives every lease back. Raises StoreUnavailable; they then expire by themselves."""
        async with self._reading:
            self._closed = True
            held, self.held = self.held, {}
            if held:
                await self._leases.release(self._owner, held)

    def note_take_over(self, lane: int) -> None:
        """Another client or gateway has taken the lane's session from us."""
        if self._take_overs.note(lane, self._clock.monotonic_s()) and lane not in self.parked:
            self.parked.add(lane)
            self._lose(frozenset({lane}))
            self._observer.lane_parked(lane)

    async def _read(self) -> None:
        async with self._reading:
            await self._read_locked()

    async def _read_locked(self) -> None:
        """Renews what is ours, then takes what is free."""
        if self._closed:
            return
        began_at_s = self._clock.monotonic_s()
        try:
            if self.held:
                asked = dict(self.held)
                ours = await self._leases.renew(self._owner, asked)
                lost = frozenset(asked.keys() & self.held.keys()) - ours
                self._lose(lost)
                for lane in lost:
                    self.note_take_over(lane)
            free = sorted(self.missing - self.parked)
            if free:
                self._gain(await self._leases.take(self._owner, free))
        except StoreUnavailable:
            self.store_away = True
            return
        finally:
            self._read_from_s = began_at_s
        self._sure_until_s = began_at_s + LEASE_S
        self.asked = True
        self.store_away = False

    def _gain(self, taken: Mapping[int, int]) -> None:
        self.held.update(taken)
        if taken:
            self._observer.lanes_taken(frozenset(taken))

    def _lose(self, lanes: frozenset[int]) -> None:
        gone = frozenset(lane for lane in lanes if self.held.pop(lane, None) is not None)
        if gone:
            self._observer.lanes_lost(gone)
