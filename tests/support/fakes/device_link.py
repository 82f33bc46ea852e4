"""A way to the devices that remembers what was said."""

from collections.abc import Sequence

from gateway.ports import Delivery
from tests.support.fakes.interruptions import Interruptions


class FakeDeviceLink:
    """Implements `ports.DeviceLink`."""

    def __init__(self, interruptions: Interruptions | None = None) -> None:
        self.acknowledged: list[Delivery] = []
        self.published: list[tuple[int, str, bytes]] = []
        self._interruptions = interruptions or Interruptions()

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        self._interruptions.note("link.acknowledge")
        self.acknowledged.extend(deliveries)

    def publish(self, lane: int, topic: str, payload: bytes) -> None:
        self._interruptions.note("link.publish")
        self.published.append((lane, topic, payload))
