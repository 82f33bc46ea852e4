"""Who settles open commands and claims by what sensors say: ports of the flows of reports and hellos."""

from collections.abc import Sequence, Set
from typing import Protocol

from gateway.core.device import DeviceRecord
from gateway.core.stamped import StampedReport

Offered = tuple[DeviceRecord, Sequence[StampedReport]]
"""A device, and what it reported."""


class EvidenceSink(Protocol):
    """Settling is idempotent: a batch may be offered again after a crash."""

    @property
    def open_devices(self) -> Set[int]:
        """device_no of every device with an open command or claim; asked once per batch."""

    async def offer(self, offered: Sequence[Offered]) -> None:
        """Every stored report of such devices, each device once with its own, late and repeated ones too, in the order
        received, before they are acknowledged. A whole batch at once. What somebody waits for, or what waits for a
        store that is away, is offered before too, and again when it is stored. Raises StoreUnavailable."""


class BootSink(Protocol):
    """Who waits for devices to start anew."""

    async def booted(self, devices: Sequence[DeviceRecord], at_ms: int) -> None:
        """These said hello and have their boot numbers, new or not, committed; before the hello is acknowledged.
        Idempotent. Raises StoreUnavailable."""


class NothingOpen:
    """There are no commands and no claims."""

    open_devices: frozenset[int] = frozenset()

    async def offer(self, offered: Sequence[Offered]) -> None:
        """Never asked: nothing is open."""

    async def booted(self, devices: Sequence[DeviceRecord], at_ms: int) -> None:
        """Nobody waits."""
