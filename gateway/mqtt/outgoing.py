"""Which packet ids are in use on one connection, and what waits for the broker's PUBACK under them; pure."""

from collections.abc import Hashable

MAX_UNACKED = 8_192
"""A broker that leaves so many commands of one lane unanswered takes none: the next one is refused at once."""

_HIGHEST_ID = 0xFFFF


class Outgoing:
    """Of QoS 1 messages that this side sent. Nothing is sent again on another connection: `open` forgets all."""

    __slots__ = ("_last", "_room", "_subscribe_id", "_tags")

    def __init__(self) -> None:
        self._tags: dict[int, Hashable] = {}
        self._last = 0
        self._room = 0
        self._subscribe_id = 0

    @property
    def unacked(self) -> int:
        """Messages that the broker has not answered yet."""
        return len(self._tags)

    def open(self) -> None:
        """A new connection, on which the broker has not yet said how much it takes."""
        self._tags.clear()
        self._room = 0
        self._subscribe_id = 0

    def allow(self, receive_max: int) -> None:
        """The broker's Receive Maximum, from CONNACK."""
        self._room = min(receive_max, MAX_UNACKED)

    def subscribe_id(self) -> int:
        """The packet id of the connection's one SUBSCRIBE."""
        self._subscribe_id = self._free_id()
        return self._subscribe_id

    def take(self, tag: Hashable) -> int | None:
        """A packet id for one message; None when the broker takes no more before it has answered."""
        if len(self._tags) >= self._room:
            return None
        packet_id = self._free_id()
        self._tags[packet_id] = tag
        return packet_id

    def settle(self, packet_id: int) -> Hashable | None:
        """The tag of the message that the broker has answered; None for an id under which nothing waits."""
        return self._tags.pop(packet_id, None)

    def _free_id(self) -> int:
        """1 to 65,535, round and round, past those in use: far fewer than there are."""
        while True:
            self._last = self._last % _HIGHEST_ID + 1
            if self._last not in self._tags and self._last != self._subscribe_id:
                return self._last
