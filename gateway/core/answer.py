"""What a device's own word does to a command."""

from typing import Final

from firmware_protocol.commands import Ack, AckResult, CommandKind
from gateway.core.command import SENSED, Happening

BEGUN_IN_TIME_MS: Final = 2_000
"""A lock that began in time may end this much after `not_after`: only then is it late."""


def happening_of(
    kind: CommandKind, ack: Ack, *, boot: int, not_after_ms: int, received_ms: int
) -> Happening | None:
    """None when the answer proves nothing: a device with another boot number may have lost its memory of an
    execution."""
    if ack.result is AckResult.ACCEPTED:
        return Happening.ACK_ACCEPTED
    if ack.result is AckResult.REFUSED:
        return None if ack.boot != boot else Happening.ACK_REFUSED
    if ack.result is AckResult.FAILED:
        return Happening.ACK_FAILED
    if is_late(ack, not_after_ms=not_after_ms, received_ms=received_ms):
        return Happening.DONE_LATE
    return Happening.ACK_EXECUTED if kind in SENSED else Happening.ACK_SUFFICES


def is_late(ack: Ack, *, not_after_ms: int, received_ms: int) -> bool:
    """By the device's own clock, which runs ahead of ours or with it; what came in time was done in time."""
    limit_ms = not_after_ms + BEGUN_IN_TIME_MS
    if ack.result is not AckResult.EXECUTED or ack.elapsed_ms is None or received_ms < limit_ms:
        return False
    return ack.boot * 1000 + ack.elapsed_ms >= limit_ms
