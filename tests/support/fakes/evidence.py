"""A sink of evidence that remembers what it was offered."""

from collections.abc import Sequence

from firmware_protocol.messages import DeviceId
from gateway.evidence import Offered
from tests.support.fakes.interruptions import Interruptions


class FakeEvidence:
    """Implements `EvidenceSink`; tests open and close devices by their numbers."""

    def __init__(self, interruptions: Interruptions) -> None:
        self.open_devices: set[int] = set()
        self.offered: list[tuple[DeviceId, int]] = []
        """(device, seq), in order."""
        self._interruptions = interruptions

    async def offer(self, offered: Sequence[Offered]) -> None:
        await self._interruptions.point("evidence.offer")
        self.offered.extend((device.device_id, one.seq) for device, reports in offered for one in reports)
