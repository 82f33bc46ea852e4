"""The loop that turns what arrives into batches: read, take, store, again; one batch in flight."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

from gateway import telemetry
from gateway.backoff import Chance, next_delay_s
from gateway.pace import Pace
from gateway.ports import Clock, StoreUnavailable

MAX_BATCH_ROWS = 2_000
"""A transaction of 40 ms; larger ones save nothing more and delay everything behind them."""

BYTE_BUDGET = 16 * 1024 * 1024
"""On the wire; decoded it is about 150 MB, so memory stays bounded while a store is away."""

FIRST_DELAY_S = 0.1
CAP_DELAY_S = 1.0
"""A store that answers again is noticed within a second."""

MAX_FAILURES = 10
"""A batch that fails so often for a reason nobody foresaw ends the process: a fresh one may do better."""

Item = TypeVar("Item")

log = telemetry.logger()


class Valve(Protocol):
    """What can stop the inflow at its source."""

    def open(self) -> None:
        """Read."""

    def shut(self) -> None:
        """Leave what arrives with the broker."""


class AlwaysOpen:
    """For an inflow that must never stop."""

    def open(self) -> None:
        """It is."""

    def shut(self) -> None:
        """It cannot be."""


class Intake(Generic[Item]):
    """Collects items, and gives them to the flow batch by batch. A batch leaves at once while the gateway is
    idle; under load the sources are read once per cycle. While a store is away the batch is kept, nothing is
    acknowledged and nothing is read."""

    def __init__(
        self,
        flow: Callable[[list[Item]], Awaitable[None]],
        valve: Valve,
        clock: Clock,
        *,
        chance: Chance,
        of: str = "reports",
    ) -> None:
        """`of` names the items in metrics."""
        self.pending_bytes = 0
        self.failure = ""
        """Why the present batch could not be stored yet; empty when all is well."""
        self.drained = asyncio.Event()
        """Set when `run` has returned: nothing is left to store."""
        self._flow = flow
        self._valve = valve
        self._clock = clock
        self._chance = chance
        self._pace = Pace()
        self._rows = telemetry.BATCH_ROWS.labels(of)
        self._seconds = telemetry.BATCH_SECONDS.labels(of)
        self._pending: list[Item] = []
        self._in_flight = 0
        self._since_ms = 0
        self._arrival = asyncio.Event()
        self._draining = False
        self._shut = False

    @property
    def pending(self) -> int:
        """Items read and not yet acknowledged."""
        return len(self._pending) + self._in_flight

    def waiting_ms(self) -> int:
        """For how long the oldest item has waited; 0 when none does."""
        return max(0, self._clock.now_ms() - self._since_ms) if self.pending else 0

    def take(self, items: list[Item], size_bytes: int) -> None:
        """Queues what one read brought; only called while the valve is open, or for little."""
        if not self.pending:
            self._since_ms = self._clock.now_ms()
        self._pending.extend(items)
        self.pending_bytes += size_bytes
        self._arrival.set()
        if self.pending_bytes > BYTE_BUDGET:
            self._close_valve()

    def drain(self) -> None:
        """Reads nothing more; `run` returns when everything is stored."""
        self._draining = True
        self._close_valve()
        self._arrival.set()

    async def run(self) -> None:
        """Until drained."""
        while True:
            if not self._pending:
                await self._read()
            if not self._pending:
                self.drained.set()
                return
            self._close_valve()
            batch = self._pending[:MAX_BATCH_ROWS]
            size_bytes = self.pending_bytes * len(batch) // len(self._pending)
            del self._pending[:MAX_BATCH_ROWS]
            self._in_flight = len(batch)
            began_s = self._clock.monotonic_s()
            self._pace.note(len(batch), began_s)
            self._rows.observe(len(batch))
            await self._store(batch)
            self._in_flight = 0
            self.pending_bytes -= size_bytes
            self._since_ms = self._clock.now_ms()
            self._seconds.observe(self._clock.monotonic_s() - began_s)

    async def _read(self) -> None:
        """Lets the sockets fill while the rate is high, then reads them all once; waits while there is nothing."""
        linger_s = self._pace.linger_s()
        if linger_s and not self._draining:
            await asyncio.sleep(linger_s)
        while not self._pending and not self._draining:
            self._arrival.clear()
            self._open_valve()
            # One turn of the loop reads every socket that has something.
            await asyncio.sleep(0)
            if not self._pending and not self._draining:
                await self._arrival.wait()

    async def _store(self, batch: list[Item]) -> None:
        attempt = failures = 0
        while True:
            try:
                await self._flow(batch)
            except StoreUnavailable as error:
                self.failure = f"store away: {error}"
            except Exception as error:
                failures += 1
                self.failure = f"batch failed: {type(error).__name__}"
                log.exception("batch_failed", rows=len(batch), failures=failures)
                if failures >= MAX_FAILURES:
                    raise
            else:
                if attempt:
                    log.info("batch_stored_at_last", rows=len(batch), attempts=attempt + 1)
                self.failure = ""
                return
            if not attempt:
                log.warning("batch_waits", rows=len(batch), reason=self.failure)
            telemetry.BATCHES_REPEATED.inc()
            delay_s = next_delay_s(attempt, self._chance, first_s=FIRST_DELAY_S, cap_s=CAP_DELAY_S)
            attempt += 1
            await asyncio.sleep(delay_s)

    def _open_valve(self) -> None:
        if self._shut:
            self._shut = False
            self._valve.open()

    def _close_valve(self) -> None:
        if not self._shut:
            self._shut = True
            self._valve.shut()
