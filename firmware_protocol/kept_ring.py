"""Kept reports that were stamped and wait for their receipts, each with the time to send it again."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from firmware_protocol.backoff import Backoff, Chance
from firmware_protocol.limits import KEPT_RING_SIZE
from firmware_protocol.messages import ReportStamp

RESEND_FIRST_MS = 30_000
"""A healthy gateway sends the receipt within a second; half a minute spares a busy one."""
RESEND_CAP_MS = 600_000
"""A gateway that was down for hours is found again within ten minutes."""


@dataclass(slots=True)
class _Kept:
    frame: bytes
    backoff: Backoff
    due_at_ms: int


class KeptRing:
    """A bounded memory of frames by stamp; forgets one only on its receipt, or counts it as lost."""

    def __init__(self, chance: Chance, *, size: int = KEPT_RING_SIZE) -> None:
        if size < KEPT_RING_SIZE:
            raise ValueError(f"a conforming device holds at least {KEPT_RING_SIZE} kept reports")
        self._chance = chance
        self._size = size
        self._kept: dict[ReportStamp, _Kept] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def frames(self) -> Iterator[tuple[ReportStamp, bytes]]:
        """Oldest first."""
        return ((stamp, kept.frame) for stamp, kept in self._kept.items())

    def keep(self, stamp: ReportStamp, frame: bytes, now_ms: int) -> int:
        """Remembers the frame, due at once. Returns how many older ones were lost for it: 0 or 1."""
        lost = 0
        if len(self._kept) >= self._size:
            del self._kept[next(iter(self._kept))]
            lost = 1
        backoff = Backoff(self._chance, first_ms=RESEND_FIRST_MS, cap_ms=RESEND_CAP_MS)
        self._kept[stamp] = _Kept(frame, backoff, now_ms)
        return lost

    def forget(self, stamps: Iterable[ReportStamp]) -> None:
        """Receipts came; stamps that are not here are nobody's mistake."""
        for stamp in stamps:
            self._kept.pop(stamp, None)

    def all_due(self, now_ms: int) -> None:
        """A welcome came: everything is to be sent again, with its first delay after it."""
        for kept in self._kept.values():
            kept.backoff.reset()
            kept.due_at_ms = now_ms

    def take_due(self, now_ms: int) -> list[bytes]:
        """The frames to send now, oldest first; each is due again after its next delay."""
        due = [kept for kept in self._kept.values() if kept.due_at_ms <= now_ms]
        for kept in due:
            kept.due_at_ms = now_ms + kept.backoff.next_delay_ms()
        return [kept.frame for kept in due]

    def next_due_ms(self) -> int | None:
        """When the next frame is due; None when nothing is kept."""
        return min((kept.due_at_ms for kept in self._kept.values()), default=None)
