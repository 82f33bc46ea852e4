"""Marked frames are taken in again: each once, however often a store keeps them from their end."""

from collections.abc import Sequence

import pytest

from firmware_protocol.codec import Encoding, encode_report
from firmware_protocol.messages import DeviceId, Report
from firmware_protocol.topics import report_topic, shard_of
from gateway.ports import Arrived, StoreUnavailable
from gateway.reading import QuarantineRow
from gateway.replaying import Replaying, ReplayPorts
from tests.support.fakes.gateway import FakeGateway
from tests.support.fakes.samples import BOOT_MS, arrived

A = DeviceId("bike-a")
FRAME = encode_report(Report(battery_pct=50), encoding=Encoding.CBOR)
"""Of a basic device: it says neither its number nor its time."""


class Desk:
    """A gateway that has heard its device before, and a quarantine with one marked frame of it."""

    def __init__(self) -> None:
        self.gateway = FakeGateway()
        self.gateway.register([A])
        self.lanes = {shard_of(A): 1}
        self.rows = [QuarantineRow(1, A, report_topic(A), "unknown_device", "", BOOT_MS, FRAME)]
        self.settles = True
        self.replaying = Replaying(
            ReplayPorts(self, self.refresh, lambda: self.lanes, lambda: self.take, self.gateway.clock)
        )

    async def take(self, batch: list[Arrived]) -> None:
        await self.gateway.reports.take(batch)

    async def refresh(self) -> None:
        """Nothing was mended."""

    async def marked(self) -> Sequence[QuarantineRow]:
        return list(self.rows)

    async def settle(self, numbers: Sequence[int]) -> int:
        if not self.settles:
            raise StoreUnavailable("quarantine")
        self.rows = [row for row in self.rows if row.number not in numbers]
        return len(numbers)

    def stored(self) -> int:
        return sum(row.frame == FRAME for row in self.gateway.history.rows)

    async def fails(self, times: int) -> None:
        for _ in range(times):
            with pytest.raises(StoreUnavailable):
                await self.replaying.turn()
            self.gateway.clock.advance(ms=2_000)


@pytest.fixture
async def desk() -> Desk:
    desk = Desk()
    await desk.gateway.take(arrived(A, Report(seq=1), received_ms=BOOT_MS))
    return desk


async def test_a_frame_is_stored_once_however_often_redis_keeps_it_from_its_end(desk: Desk) -> None:
    desk.gateway.interruptions.raise_always("live_states.advance", lambda: StoreUnavailable("away"))
    await desk.fails(times=3)
    desk.gateway.interruptions.heal()
    # A lane of others that comes to this gateway meanwhile is no reason to begin anew.
    desk.lanes[(shard_of(A) + 1) % 16] = 1
    assert await desk.replaying.turn() == 1
    assert desk.stored() == 1
    assert await desk.replaying.turn() == 0


async def test_what_is_stored_is_not_stored_again_because_its_mark_stays(desk: Desk) -> None:
    desk.settles = False
    await desk.fails(times=3)
    desk.settles = True
    assert await desk.replaying.turn() == 1
    assert desk.stored() == 1
    assert desk.rows == []


async def test_a_page_of_lanes_that_went_is_left_to_their_owner(desk: Desk) -> None:
    desk.gateway.interruptions.raise_always("history.append", lambda: StoreUnavailable("away"))
    await desk.fails(times=1)
    desk.gateway.interruptions.heal()
    desk.lanes = {}
    assert await desk.replaying.turn() == 0
    assert desk.stored() == 0
    assert len(desk.rows) == 1
