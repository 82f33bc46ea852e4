"""What commands count, for whoever shows it."""

from typing import Protocol

from gateway.command_ports import CommandRecord


class WishCounter(Protocol):
    """Of the process that people and programs ask; must not block or raise."""

    def issued(self, outcome: str) -> None:
        """A wish was judged: issued, repeated, refused, key_reused, slot_busy, device_changed (and judged again)."""


class CommandCounters(Protocol):
    """Called once per happening; must not block or raise."""

    def ended(self, command: CommandRecord) -> None:
        """It is settled, or UNCONFIRMED for now."""

    def incident(self, kind: str) -> None:
        """Something that must never happen was recorded."""

    def ack_refused(self, reason: str) -> None:
        """An ack that proves nothing: it is in quarantine."""

    def sent(self, *, again: bool) -> None:
        """A frame was handed to the broker, for the first time or once more."""

    def open_now(self, count: int) -> None:
        """How many commands of our lanes wait for an end."""
