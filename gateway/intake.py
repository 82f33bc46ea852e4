"""The loop that turns what arrives into batches: read, take, store, again; one batch in flight."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
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

LOOK_EVERY_S = 0.05
"""While a batch waits: a person in front of a lock does not notice it, and a process with a backlog neither."""

Item = TypeVar("Item")
Item_contra = TypeVar("Item_contra", contravariant=True)

log = telemetry.logger()


class Valve(Protocol):
    """What can stop the inflow at its source."""

    def open(self) -> None:
        """Read."""

    def shut(self) -> None:
        """Leave what arrives with the broker."""

    def look(self) -> None:
        """While shut: read what has come, once."""


class AlwaysOpen:
    """For an inflow that must never stop."""

    def open(self) -> None:
        """It is."""

    def shut(self) -> None:
        """It cannot be."""

    def look(self) -> None:
        """It is read anyhow."""


class Ahead(Protocol[Item_contra]):
    """Who can make use of items before they are stored. Each is given to the flow in its turn nevertheless."""

    def pays(self) -> bool:
        """Whether anybody waits for what may have arrived: only then it is read before it can be stored."""

    async def look(self, items: Sequence[Item_contra]) -> None:
        """In the order received; the same may be shown again. Raises StoreUnavailable: show them later."""


class Intake(Generic[Item]):
    """Collects items, and gives them to the flow batch by batch. A batch leaves at once while the gateway is
    idle, and the sources stay open, within the byte budget; under load they are read once per cycle, unless somebody
    is let in. While a store is away the batch is kept, nothing is acknowledged, and nothing is read unless somebody
    looks ahead: then up to the byte budget."""

    def __init__(
        self,
        flow: Callable[[list[Item]], Awaitable[None]],
        valve: Valve,
        clock: Clock,
        *,
        chance: Chance,
        of: str = "reports",
        ahead: Ahead[Item] | None = None,
        worked_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """`of` names the items in metrics; `ahead` sees what waits while a store is away; `worked_s` is the CPU that
        this thread has used, and tells when it is short."""
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
        self._worked_s = worked_s
        self._rows = telemetry.BATCH_ROWS.labels(of)
        self._seconds = telemetry.BATCH_SECONDS.labels(of)
        self._pending: list[Item] = []
        self._ahead = ahead
        self._shown = 0
        """So many of the pending items, from the first on, were seen by who looks ahead."""
        self._failures = 0
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

    def let_in(self) -> None:
        """Reads now what would be read at the end of a cycle: somebody waits for what may come."""
        if not (self._draining or self.failure or self.pending_bytes > BYTE_BUDGET):
            self._open_valve()

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
            if self._pace.linger_s():
                # Shutting and opening every source costs more than a small batch does: only where it saves reads.
                self._close_valve()
            batch = self._pending[:MAX_BATCH_ROWS]
            size_bytes = self.pending_bytes * len(batch) // len(self._pending)
            del self._pending[:MAX_BATCH_ROWS]
            self._shown = max(0, self._shown - len(batch))
            self._in_flight = len(batch)
            began_s = self._clock.monotonic_s()
            self._pace.note(len(batch), began_s, self._worked_s())
            self._rows.observe(len(batch))
            await self._store(batch)
            self._in_flight = 0
            self.pending_bytes -= size_bytes
            self._since_ms = self._clock.now_ms()
            self._seconds.observe(self._clock.monotonic_s() - began_s)

    async def _read(self) -> None:
        """Lets the sockets fill while the rate is high, then reads them all once; waits while there is nothing."""
        linger_s = self._pace.next_linger_s()
        if linger_s and not self._draining:
            await asyncio.sleep(linger_s)
            if self._shut and not self._draining:
                self._valve.look()
        while not self._pending and not self._draining:
            self._arrival.clear()
            self._open_valve()
            # One turn of the loop reads every socket that has something.
            await asyncio.sleep(0)
            if not self._pending and not self._draining:
                await self._arrival.wait()

    async def _store(self, batch: list[Item]) -> None:
        """At once when all is well; else again and again, and meanwhile others may look at what waits."""
        self._failures = 0
        if await self._attempt(batch):
            return
        self._close_valve()
        log.warning("batch_waits", rows=len(batch), reason=self.failure)
        stored = asyncio.Event()
        looking = asyncio.ensure_future(self._look_ahead(batch, stored))
        try:
            attempts = 1
            while not await self._attempt_later(batch, attempts):
                attempts += 1
            stored.set()
            await looking
        finally:
            looking.cancel()
            await asyncio.wait([looking])
        log.info("batch_stored_at_last", rows=len(batch), attempts=attempts + 1)

    async def _attempt_later(self, batch: list[Item], attempts: int) -> bool:
        telemetry.BATCHES_REPEATED.inc()
        delay_s = next_delay_s(attempts - 1, self._chance, first_s=FIRST_DELAY_S, cap_s=CAP_DELAY_S)
        await asyncio.sleep(delay_s)
        return await self._attempt(batch)

    async def _attempt(self, batch: list[Item]) -> bool:
        """Whether it is stored. Raises what nobody foresaw, when it comes again and again."""
        try:
            await self._flow(batch)
        except StoreUnavailable as error:
            self.failure = f"store away: {error}"
        except Exception as error:
            self._failures += 1
            self.failure = f"batch failed: {type(error).__name__}"
            log.exception("batch_failed", rows=len(batch), failures=self._failures)
            if self._failures >= MAX_FAILURES:
                raise
        else:
            self.failure = ""
            return True
        return False

    async def _look_ahead(self, batch: list[Item], stored: asyncio.Event) -> None:
        """While that pays: reads on within the byte budget and shows what waits, the batch itself first."""
        ahead, is_batch_shown = self._ahead, False
        while ahead is not None and not stored.is_set():
            pays, pause_s = ahead.pays(), LOOK_EVERY_S
            self._read_on(pays=pays)
            some = self._unshown() if is_batch_shown else batch
            if pays and some:
                try:
                    await ahead.look(some)
                except StoreUnavailable:
                    pause_s = CAP_DELAY_S
                except Exception:
                    # The flow meets it too, and counts it.
                    log.exception("look_ahead_failed", rows=len(some))
                    pause_s = CAP_DELAY_S
                else:
                    self._shown += len(some) if is_batch_shown else 0
                    is_batch_shown, pause_s = True, 0.0
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await stored.wait()

    def _unshown(self) -> list[Item]:
        return self._pending[self._shown : self._shown + MAX_BATCH_ROWS]

    def _read_on(self, *, pays: bool) -> None:
        if pays and not self._draining and self.pending_bytes <= BYTE_BUDGET:
            self._open_valve()
        else:
            self._close_valve()

    def _open_valve(self) -> None:
        if self._shut:
            self._shut = False
            self._valve.open()

    def _close_valve(self) -> None:
        if not self._shut:
            self._shut = True
            self._valve.shut()
