"""A broker's queue for one gateway: what is not acknowledged comes again, in order, marked as redelivered."""

from collections.abc import Sequence

from msgspec import structs

from gateway.ports import Arrived, Delivery


class FakeBroker:
    """At least once, as QoS 1 promises."""

    def __init__(self, queued: Sequence[Arrived]) -> None:
        self._queued = [
            structs.replace(one, delivery=Delivery("lk-gw", 1, packet_id))
            for packet_id, one in enumerate(queued, start=1)
        ]
        self._delivered = 0
        self._link_number = 1

    def deliver(self, count: int) -> list[Arrived]:
        """The next messages that this connection has not seen."""
        batch = self._queued[self._delivered : self._delivered + count]
        self._delivered += len(batch)
        return batch

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """In order, and only of this connection."""
        for delivery in deliveries:
            if delivery.link_number == self._link_number:
                assert self._queued[0].delivery == delivery, "acknowledged out of order"
                del self._queued[0]
                self._delivered -= 1

    def reconnect(self) -> None:
        """A new connection: everything delivered and not acknowledged is delivered again."""
        self._link_number += 1
        self._queued = [
            structs.replace(
                one,
                delivery=structs.replace(one.delivery, link_number=self._link_number),
                redelivered=one.redelivered or index < self._delivered,
            )
            for index, one in enumerate(self._queued)
        ]
        self._delivered = 0
