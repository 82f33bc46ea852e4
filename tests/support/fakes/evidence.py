"""A sink of evidence that remembers what it was offered."""

from collections.abc import Sequence

from firmware_protocol.messages import DeviceId
from gateway.core.device import DeviceRecord
from gateway.core.stamped import StampedReport
from tests.support.fakes.interruptions import Interruptions


class FakeEvidence:
    """Implements `EvidenceSink`; tests open and close devices by their numbers."""

    def __init__(self, interruptions: Interruptions) -> None:
        self.open_devices: set[int] = set()
        self.offered: list[tuple[DeviceId, int]] = []
        """(device, seq), in order."""
        self._interruptions = interruptions

    async def offer(self, device: DeviceRecord, reports: Sequence[StampedReport]) -> None:
        await self._interruptions.point("evidence.offer")
        self.offered.extend((device.device_id, one.seq) for one in reports)
