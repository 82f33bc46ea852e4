"""What a report says about a command that somebody waits for, heard when it arrives and not when it is stored."""

import asyncio
from collections.abc import Callable, Sequence

from firmware_protocol.messages import DeviceId
from gateway import telemetry
from gateway.ingest.evidence_ahead import EvidenceAhead
from gateway.ports import Arrived, Registry, StoreUnavailable

LOOK_AT = 1_000
"""Reports at once: what they settle is one transaction."""

MAX_WAITING = 20_000
"""All of them wait for the batches too, whose bytes are bounded."""

AGAIN_S = 0.25
"""After a store did not answer."""

log = telemetry.logger()


class EvidenceAtOnce:
    """Whoever stands in front of a lock need not wait for the batch that is under way, nor for the transaction of the
    report itself. As with `EvidenceAhead`, which says what that may cost, each report is stored, offered again and
    acknowledged in its turn.

    The reports of one device are never heard here in another order than they came in, since an opened bolt that is
    closed again, seen the other way round, looks like a bolt that stayed closed. So what could not be offered is
    offered again before anything later; and of a device of which something was left to the batches, all is."""

    def __init__(self, registry: Registry, ahead: EvidenceAhead, awaited: Callable[[int], bool]) -> None:
        """`awaited` says of a device_no whether one of its commands was sent and is not settled."""
        self._registry = registry
        self._ahead = ahead
        self._awaited = awaited
        self._waiting: list[Arrived] = []
        self._left: set[DeviceId] = set()
        """Devices whose reports are left to the batches, until nobody waits for them."""
        self._arrival = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Reports that were heard and not yet offered."""
        return len(self._waiting)

    def expects(self, device_id: DeviceId) -> bool:
        """Whether somebody waits for what this device reports."""
        device = self._registry.known(device_id)
        if device is not None and self._awaited(device.device_no):
            return True
        self._left.discard(device_id)
        return False

    def heard(self, arrived: Sequence[Arrived]) -> None:
        """In the order received; picks what is worth a look."""
        if not self._ahead.pays():
            return
        for one in arrived:
            if one.report is None or one.beyond_quota or not self.expects(one.device_id):
                continue
            if len(self._waiting) >= MAX_WAITING:
                self._left.add(one.device_id)
            elif one.device_id not in self._left:
                self._waiting.append(one)
        if self._waiting:
            self._arrival.set()

    async def look(self) -> float:
        """Offers the oldest of what waits. Returns how many seconds to pause; what is left then is offered again."""
        some = self._waiting[:LOOK_AT]
        try:
            await self._ahead.look(some)
        except StoreUnavailable:
            return AGAIN_S
        except Exception:
            # The flow meets it too, and counts it.
            log.exception("look_at_once_failed", rows=len(some))
            self._left.update(one.device_id for one in some)
        self._waiting = [one for one in self._waiting[len(some) :] if one.device_id not in self._left]
        return 0.0

    async def run(self) -> None:
        """For ever; ends only by cancellation."""
        while True:
            await self._arrival.wait()
            self._arrival.clear()
            while self._waiting:
                if pause_s := await self.look():
                    await asyncio.sleep(pause_s)
