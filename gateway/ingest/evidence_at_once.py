"""What a report says about a command that somebody waits for, heard when it arrives and not when it is stored."""

import asyncio
from collections.abc import Callable, Sequence

from gateway import telemetry
from gateway.ingest.evidence_ahead import EvidenceAhead
from gateway.ports import Arrived, Registry, StoreUnavailable

MAX_WAITING = 1_000
"""More than that at once is no person at a lock: they are heard when they are stored."""

log = telemetry.logger()


class EvidenceAtOnce:
    """Whoever stands in front of a lock need not wait for the batch that is under way, nor for the transaction of the
    report itself. As with `EvidenceAhead`, which says what that may cost, each report is stored, offered again and
    acknowledged in its turn; so what goes wrong here is made good there, and nothing is tried twice."""

    def __init__(self, registry: Registry, ahead: EvidenceAhead, awaited: Callable[[int], bool]) -> None:
        """`awaited` says of a device_no whether one of its commands is out."""
        self._registry = registry
        self._ahead = ahead
        self._awaited = awaited
        self._waiting: list[Arrived] = []
        self._arrival = asyncio.Event()

    def heard(self, arrived: Sequence[Arrived]) -> None:
        """In the order received; picks what is worth a look."""
        if not self._ahead.pays():
            return
        known = self._registry.known
        for one in arrived:
            device = known(one.device_id)
            if device is not None and self._awaited(device.device_no) and len(self._waiting) < MAX_WAITING:
                self._waiting.append(one)
                self._arrival.set()

    async def run(self) -> None:
        """For ever; ends only by cancellation."""
        while True:
            await self._arrival.wait()
            self._arrival.clear()
            some, self._waiting = self._waiting, []
            try:
                await self._ahead.look(some)
            except StoreUnavailable:
                continue
            except Exception:
                # The flow meets it too, and counts it.
                log.exception("look_at_once_failed", rows=len(some))
