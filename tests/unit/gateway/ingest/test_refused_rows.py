"""A row that the store cannot hold is promised to nobody."""

import pytest
from msgspec import structs

from firmware_protocol.messages import DeviceId, ReportStamp
from gateway.ports import Appended, HistoryBatch
from tests.support.fakes.gateway import FakeGateway
from tests.support.fakes.samples import BOOT, arrived, bike_report

A, B = DeviceId("bike-a"), DeviceId("bike-b")
UNLUCKY_PCT = 13


async def test_what_the_store_refuses_is_not_receipted_and_moves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gateway = FakeGateway()
    gateway.register([A, B])
    append = gateway.history.append

    async def without_the_unlucky(batch: HistoryBatch) -> Appended:
        rows = [row for row in batch.rows if row.battery_pct != UNLUCKY_PCT]
        left_out = [row for row in batch.rows if row.battery_pct == UNLUCKY_PCT]
        appended = await append(structs.replace(batch, rows=rows))
        return structs.replace(
            appended, refused=frozenset((row.device_no, row.boot, row.seq) for row in left_out)
        )

    monkeypatch.setattr(gateway.history, "append", without_the_unlucky)
    await gateway.take(
        arrived(A, bike_report(1, keep=True)),
        arrived(A, bike_report(2, keep=True, battery_pct=UNLUCKY_PCT), packet_id=2),
        arrived(B, bike_report(1, keep=True), packet_id=3),
    )
    assert gateway.receipted() == {A: [ReportStamp(BOOT, 1)], B: [ReportStamp(BOOT, 1)]}
    assert gateway.fake_states.all()[A].seq == 1
    assert gateway.acknowledged() == [1, 2, 3]
    assert gateway.counters.refusals == {"refused_by_store": 1}
