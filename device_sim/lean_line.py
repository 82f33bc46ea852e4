"""One connection that carries one device, or many through a bridge user: bytes and confirmations."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol, cast

from device_sim.driver import Message, Party
from device_sim.packets import (
    DISCONNECT,
    PING,
    Accepted,
    Confirmed,
    Delivered,
    Dismissed,
    Granted,
    MalformedPacket,
)

MAX_WAITING = 256
"""Messages that wait for room in the broker's receive maximum: more means that the network is gone."""
KEEP_ALIVE_S = 60


class LineListener(Protocol):
    """Who hears what a line receives."""

    def line_up(self, line: "LeanLine") -> None:
        """Accepted and subscribed."""

    def line_down(self, line: "LeanLine") -> None:
        """Closed; what was not confirmed is still in `unconfirmed()`."""

    def line_confirmed(self, message: Message, took_s: float, refusal: int) -> None: ...

    def line_delivered(self, line: "LeanLine", topic: str, payload: bytes) -> None: ...


class LeanLine(asyncio.Protocol):
    """One object lives through one TCP connection."""

    __slots__ = (
        "_clock_s",
        "_framing",
        "_heard_s",
        "_in_flight",
        "_last_packet_id",
        "_listener",
        "_party",
        "_pinged",
        "_receive_max",
        "_rest",
        "_transport",
        "_waiting",
        "key",
        "refusal",
        "up",
        "was_up",
    )

    def __init__(
        self,
        key: int,
        party: Party,
        *,
        listener: LineListener,
        clock_s: Callable[[], float],
    ) -> None:
        self.key = key
        self.up = False
        self.was_up = False
        self.refusal = 0
        """The reason code of a refused CONNECT or SUBSCRIBE."""
        self._party = party
        self._framing = party.framing
        self._listener = listener
        self._clock_s = clock_s
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._in_flight: dict[int, tuple[Message, float]] = {}
        self._waiting: deque[Message] = deque()
        self._receive_max = 20
        self._last_packet_id = 0
        self._heard_s = 0.0
        self._pinged = False

    # --- called by the event loop ----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._heard_s = self._clock_s()
        self._transport.write(
            self._framing.connect(
                self._party.client_id, self._party.user, self._party.password, keep_alive_s=KEEP_ALIVE_S
            )
        )

    def data_received(self, data: bytes) -> None:
        self._heard_s = now_s = self._clock_s()
        self._pinged = False
        view = memoryview(self._rest + data if self._rest else data)
        read = self._framing.read
        try:
            while (found := read(view)) is not None:
                packet, length = found
                self._take(packet, now_s)
                view = view[length:]
                if not view:
                    break
        except MalformedPacket:
            self.abort()
            return
        self._rest = bytes(view)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.up = False
        self._listener.line_down(self)

    # --- called by the driver --------------------------------------------------------------------

    def publish(self, message: Message) -> bool:
        """Write it now, or as soon as the broker has confirmed enough others; False when there is no room."""
        if self._transport is None or not self.up:
            return False
        if len(self._in_flight) >= self._receive_max:
            if len(self._waiting) >= MAX_WAITING:
                return False
            self._waiting.append(message)
            return True
        self._write(message, self._clock_s())
        return True

    def unconfirmed(self) -> list[Message]:
        """Oldest first."""
        return [message for message, _ in self._in_flight.values()] + list(self._waiting)

    def tend(self, now_s: float) -> None:
        """Ping a silent broker; give up on one that stays silent. Call it every few seconds."""
        if self._transport is None:
            return
        silent_s = now_s - self._heard_s
        if silent_s > 1.5 * KEEP_ALIVE_S:
            self.abort()
        elif silent_s > KEEP_ALIVE_S / 2 and not self._pinged and self.up:
            self._pinged = True
            self._transport.write(PING)

    def abort(self) -> None:
        """Drop the connection without a goodbye."""
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Say goodbye."""
        if self._transport is not None:
            self._transport.write(DISCONNECT)
            self._transport.close()

    # --- packets ---------------------------------------------------------------------------------

    def _take(self, packet: object, now_s: float) -> None:
        match packet:
            case Confirmed(packet_id, refusal):
                self._confirm(packet_id, refusal, now_s)
            case Delivered(topic, payload, packet_id):
                if packet_id is not None and self._transport is not None:
                    self._transport.write(self._framing.confirm(packet_id))
                self._listener.line_delivered(self, topic, payload)
            case Accepted(refusal, receive_max):
                self._accepted(refusal, receive_max)
            case Granted(refused):
                self._granted(refused)
            case Dismissed(reason):
                self.refusal = reason
                self.abort()
            case _:
                pass

    def _confirm(self, packet_id: int, refusal: int, now_s: float) -> None:
        entry = self._in_flight.pop(packet_id, None)
        if entry is None:
            return
        message, written_s = entry
        self._listener.line_confirmed(message, now_s - written_s, refusal)
        if self._waiting and self.up:
            self._write(self._waiting.popleft(), now_s)

    def _accepted(self, refusal: int, receive_max: int) -> None:
        if refusal:
            self.refusal = refusal
            self.abort()
            return
        self._receive_max = receive_max
        if self._transport is not None and self._party.topics:
            self._transport.write(self._framing.subscribe(self._next_packet_id(), list(self._party.topics)))
        else:
            self._granted(False)

    def _granted(self, refused: bool) -> None:
        if refused:
            self.refusal = 0x80
            self.abort()
            return
        self.up = self.was_up = True
        self._listener.line_up(self)

    def _write(self, message: Message, now_s: float) -> None:
        packet_id = self._next_packet_id()
        self._in_flight[packet_id] = (message, now_s)
        assert self._transport is not None
        self._transport.write(self._framing.publish(message.topic, message.payload, packet_id))

    def _next_packet_id(self) -> int:
        self._last_packet_id = self._last_packet_id % 65_535 + 1
        while self._last_packet_id in self._in_flight:
            self._last_packet_id = self._last_packet_id % 65_535 + 1
        return self._last_packet_id
