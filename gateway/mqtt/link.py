"""One TCP connection of one MQTT session: moves bytes and owns the timer, decides nothing."""

import asyncio
import os
from collections.abc import Sequence
from typing import Protocol, cast
from uuid import UUID

from mqtt5 import PublishPacket

from gateway import telemetry
from gateway.mqtt.events import BrokerAcked, Ended, Event, Opened, Subscribed
from gateway.mqtt.session import MAX_PACKET_BYTES, Session
from gateway.ports import Clock

READ_BUFFER_BYTES = 64 * 1024
"""One read per link and cycle: 500 reports, and always more than the largest packet."""
assert READ_BUFFER_BYTES > MAX_PACKET_BYTES

MAX_UNSENT_BYTES = 4 * 1024 * 1024
"""What may wait for a broker that does not read: 3 s of receipts at 15,000 reports/s; beyond it they are dropped,
and the devices ask again."""

MAX_UNSENT_BEFORE_COMMAND_BYTES = 64 * 1024
"""What a broker that reads takes at once. Behind more a command would wait, and might be late."""

log = telemetry.logger()


class LinkSink(Protocol):
    """Who hears what a link receives."""

    def took_publishes(self, link: "Link", packets: list[PublishPacket], size_bytes: int) -> None:
        """Everything of one read, in order."""

    def opened(self, link: "Link", event: Opened) -> None:
        """The broker accepted the session."""

    def broker_acked(self, event: BrokerAcked) -> None:
        """The broker answered a command."""


class Link(asyncio.BufferedProtocol):
    """Drives one session over one connection. `link_number` tells its connections apart: an acknowledgement
    is for the connection that delivered the message, or for nobody."""

    def __init__(self, session: Session, link_number: int, sink: LinkSink, clock: Clock) -> None:
        loop = asyncio.get_running_loop()
        self.session = session
        self.link_number = link_number
        self.live: asyncio.Future[None] = loop.create_future()
        """Done when the broker granted the subscriptions, or the connection ended before."""
        self.ended: asyncio.Future[Ended] = loop.create_future()
        """Done when the connection is closed, or was given up before there was one, with the reason."""
        self.emptied_at_s = float("-inf")
        """When a paused socket was last looked at and had nothing, not even its end."""
        self._fileno = -1
        self._loop = loop
        self._sink = sink
        self._clock = clock
        self._buffer = bytearray(READ_BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._filled = 0
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._reading = True
        self._verdict: Ended | None = None

    # --- called by the event loop ----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._verdict is not None:
            # Ended while the socket connected: a CONNECT now would take the session from the lane's new owner.
            self._transport.abort()
            return
        if not self._reading:
            self._transport.pause_reading()
        self.session.open(self._clock.monotonic_s())
        self.flush()
        self._set_timer()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        filled = self._filled + nbytes
        used, events = self.session.receive(self._view[:filled], self._clock.monotonic_s())
        rest = filled - used
        if used and rest:
            self._buffer[:rest] = self._buffer[used:filled]
        self._filled = rest
        if events:
            self._tell(events, used)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.session.close()
        self._transport = None
        reason = f"connection lost: {exc}" if exc else "connection closed by the broker"
        self._end(self._verdict or Ended(reason))

    # --- called by the gateway -------------------------------------------------------------------

    @property
    def reading(self) -> bool:
        """Whether the socket is read."""
        return self._reading

    @property
    def unsent_bytes(self) -> int:
        """Written, but not yet taken by the broker."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def pause_reading(self) -> None:
        """Leaves what arrives in the socket, and so with the broker."""
        if self._reading:
            self._reading = False
            self.session.pause(self._clock.monotonic_s())
            if self._transport is not None:
                self._transport.pause_reading()

    def look(self) -> None:
        """Takes what a paused socket has now, past the loop: to have it watched for one read and then no more would
        cost a callback and calls of epoll besides."""
        if self._reading or self._transport is None or self._transport.is_closing():
            return
        now_s = self._clock.monotonic_s()
        self.session.resume(now_s)
        self.session.pause(now_s)
        try:
            if self._fileno < 0:
                self._fileno = self._transport.get_extra_info("socket").fileno()
            nbytes = os.readv(self._fileno, (self.get_buffer(-1),))
        except BlockingIOError:
            self.emptied_at_s = now_s
            return
        except OSError:
            nbytes = 0
        if nbytes:
            try:
                self.buffer_updated(nbytes)
            except Exception:
                # As the loop does with a connection whose reading fails: the others are not to blame.
                log.exception("link_failed", session=self.session.spec.client_id)
                self.abort("reading failed")
        else:
            # The end: the loop hears of it and closes.
            self.resume_reading()

    def resume_reading(self) -> None:
        """Reads again."""
        if not self._reading:
            self._reading = True
            self.session.resume(self._clock.monotonic_s())
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()

    def acknowledge(self, packet_ids: Sequence[int]) -> None:
        """PUBACKs in the order given, in one write with whatever else waits."""
        self.session.acknowledge(packet_ids)
        self.flush()

    def publish(self, topic: str, payload: bytes) -> bool:
        """Queues a QoS 0 message until `flush`; False when it was dropped."""
        return self.unsent_bytes < MAX_UNSENT_BYTES and self.session.publish(topic, payload)

    def publish_command(self, topic: str, payload: bytes, tag: UUID | None) -> bool:
        """Sends it in this very turn of the loop, with QoS 1 if it has a tag; False when it was not sent."""
        if self.unsent_bytes > MAX_UNSENT_BEFORE_COMMAND_BYTES or not self.session.publish(
            topic, payload, tag
        ):
            return False
        self.flush()
        return True

    def flush(self) -> None:
        """Sends what the session has to say, in one write."""
        output = self.session.take_output(self._clock.monotonic_s())
        if output and self._transport is not None:
            self._transport.write(output)

    def disconnect(self) -> None:
        """Says DISCONNECT, which keeps the session, and closes once that is sent."""
        self._verdict = self._verdict or Ended("disconnected by this gateway")
        self.session.close()
        self.flush()
        if self._transport is not None:
            self._transport.close()
        else:
            self._end(self._verdict)

    def abort(self, reason: str) -> None:
        """Closes at once, without a word."""
        self._verdict = self._verdict or Ended(reason)
        if self._transport is not None:
            self._transport.abort()
        else:
            self._end(self._verdict)

    # --- inside ----------------------------------------------------------------------------------

    def _end(self, verdict: Ended) -> None:
        """Nobody waits for a socket that may never connect: without one the link ends at once."""
        if not self.ended.done():
            self.ended.set_result(verdict)
        if not self.live.done():
            self.live.set_result(None)

    def _tell(self, events: list[Event], size_bytes: int) -> None:
        packets = [event for event in events if type(event) is PublishPacket]
        if len(packets) != len(events):
            self._take_events(events)
        if packets:
            self._sink.took_publishes(self, packets, size_bytes)

    def _take_events(self, events: list[Event]) -> None:
        for event in events:
            match event:
                case Opened():
                    self._sink.opened(self, event)
                case Subscribed() if not self.live.done():
                    self.live.set_result(None)
                case BrokerAcked():
                    self._sink.broker_acked(event)
                case Ended():
                    self._verdict = event
                    self.abort(event.reason)
        self.flush()
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        now_s = self._clock.monotonic_s()
        self._timer = self._loop.call_later(max(0.01, self.session.next_tick_s(now_s) - now_s), self._tick)

    def _tick(self) -> None:
        events = self.session.tick(self._clock.monotonic_s())
        if events:
            self._take_events(events)
        else:
            self.flush()
            self._set_timer()
