"""One MQTT session kept connected: gate, connect, wait for the end, back off, again."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway import telemetry
from gateway.backoff import Chance, next_delay_s
from gateway.mqtt.events import Ended, SessionSpec
from gateway.mqtt.link import Link, LinkSink
from gateway.mqtt.session import Session
from gateway.ports import Clock, StoreUnavailable

CONNECT_WITHIN_S = 6.0
"""TCP, CONNACK and SUBACK together; a broker that restores a large queue needs seconds."""

FIRST_DELAY_S = 0.1
CAP_DELAY_S = 2.0
"""A restarted broker is found within two seconds; 33 sessions a gateway do not hurt it."""

STEADY_AFTER_S = 10.0
"""A connection that lived this long starts the back-off anew."""

LONG_AGO_S = float("-inf")
NOT_YET_S = float("inf")


@dataclass(frozen=True, slots=True)
class Address:
    """Where the broker's internal listener is."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every connection of the process shares."""

    broker: Address
    clock: Clock
    chance: Chance
    may_connect: Callable[["Connection"], Awaitable[bool]]
    """Reads the lease; raises StoreUnavailable."""
    suspected: Callable[["Connection", float], bool]
    """Whether a connection the broker closed at that time was taken over, rather than the broker stopped."""
    taken_over: Callable[["Connection"], None]
    became_live: Callable[["Connection"], None] = lambda connection: None
    """From here on it receives, and can publish."""


class Connection:
    """The connections of one session, one after the other, while `wanted` is set."""

    def __init__(
        self, spec: SessionSpec, sink: LinkSink, around: Surroundings, *, lane: int | None, role: str
    ) -> None:
        self.session = Session(spec)
        self.lane = lane
        self.role = role
        """`report`, `now` or `broker`."""
        self.link: Link | None = None
        """The present connection, from the first byte on."""
        self.live_since_s = NOT_YET_S
        """Of the present connection: never the time of an earlier one, or whoever looks between SUBACK and the
        next turn of the loop would think that this one had outlived the others."""
        self.wanted = asyncio.Event()
        self.reading = True
        """Whether the link is read, or leaves what arrives with the broker."""
        self.refusal = ""
        """Why the last attempt failed; empty while live."""
        self._sink = sink
        self._around = around
        self._link_number = 0

    @property
    def client_id(self) -> str:
        return self.session.spec.client_id

    @property
    def live(self) -> bool:
        return self.link is not None and self.session.live

    async def run(self) -> None:
        """For ever; ends only by cancellation."""
        attempt = 0
        lost_at_s = LONG_AGO_S
        while True:
            await self.wanted.wait()
            began_at_s = self._around.clock.monotonic_s()
            ended = await self._once(lost_at_s)
            lost_at_s = self._around.clock.monotonic_s()
            self.refusal = ended.reason
            if ended.taken_over:
                self._around.taken_over(self)
            attempt = 0 if lost_at_s - began_at_s > STEADY_AFTER_S else attempt + 1
            # Only an end without a word, of a connection that had worked, can be a silent take-over.
            if ended.reason != _CLOSED_SILENTLY:
                lost_at_s = LONG_AGO_S
            delay_s = next_delay_s(
                max(0, attempt - 1), self._around.chance, first_s=FIRST_DELAY_S, cap_s=CAP_DELAY_S
            )
            await asyncio.sleep(delay_s)

    def close(self, reason: str) -> None:
        """Ends the present connection and wants no other; the session stays with the broker."""
        self.wanted.clear()
        if self.link is not None:
            self.link.disconnect()
        self.refusal = reason

    def knows_of(self, at_s: float) -> bool:
        """Whether it has heard by now if the broker closed it at that time: a link that is not read has not, and one
        that is only looked at may have its end behind what it brought last."""
        return self.reading or (self.link is not None and self.link.emptied_at_s > at_s)

    def set_reading(self, reading: bool) -> None:
        """Pauses or resumes reading. A link that is not live yet must read CONNACK and SUBACK: it is paused after."""
        self.reading = reading
        if self.link is not None and self.session.live:
            if reading:
                self.link.resume_reading()
            else:
                self.link.pause_reading()

    async def _once(self, lost_at_s: float) -> Ended:
        """One connection from the gate to its end."""
        try:
            if not await self._around.may_connect(self):
                return Ended("the lane is not ours")
            if not self.wanted.is_set():
                # Closed while the lease was read: the answer may be older than the loss.
                return Ended("no longer wanted")
            async with asyncio.timeout(CONNECT_WITHIN_S):
                link = await self._connect()
                await asyncio.shield(link.live)
        except StoreUnavailable:
            return Ended("the lease cannot be read")
        except TimeoutError:
            self._abandon("no subscription in time")
            return Ended("no subscription in time")
        except OSError as error:
            reason = f"no connection: {error.strerror or type(error).__name__}"
            self._abandon(reason)
            return Ended(reason)
        except asyncio.CancelledError:
            self._abandon("cancelled")
            raise
        return await self._until_ended(link, lost_at_s)

    async def _connect(self) -> Link:
        self._link_number += 1
        self.live_since_s = NOT_YET_S
        link = Link(self.session, self._link_number, self._sink, self._around.clock)
        self.link = link
        loop = asyncio.get_running_loop()
        broker = self._around.broker
        await loop.create_connection(lambda: link, broker.host, broker.port)
        return link

    async def _until_ended(self, link: Link, lost_at_s: float) -> Ended:
        """Waits while the link lives. A link whose subscription was refused has ended already."""
        if self.session.live:
            self.live_since_s = self._around.clock.monotonic_s()
            self.refusal = ""
            self.set_reading(self.reading)
            telemetry.LINKS_LIVE.labels(self.role).inc()
            self._around.became_live(self)
            if lost_at_s != LONG_AGO_S and self._around.suspected(self, lost_at_s):
                self._around.taken_over(self)
            try:
                ended = await asyncio.shield(link.ended)
            finally:
                telemetry.LINKS_LIVE.labels(self.role).dec()
                telemetry.LINK_ENDS.labels(self.role).inc()
        else:
            ended = await asyncio.shield(link.ended)
        if self.link is link:
            self.link = None
        return ended

    def _abandon(self, reason: str) -> None:
        if self.link is not None:
            self.link.abort(reason)
            self.link = None


_CLOSED_SILENTLY = "connection closed by the broker"
