"""The straight line of a batch, step by step."""

import pytest
from msgspec import structs

from firmware_protocol.codec import Encoding
from firmware_protocol.limits import MAX_RECEIPT_STAMPS
from firmware_protocol.messages import DeviceId, Report, ReportStamp
from firmware_protocol.topics import shard_of
from gateway.core.rebase import rebase
from gateway.ingest.beliefs import LaneTrouble
from gateway.ports import StoreUnavailable
from tests.support.fakes.gateway import FakeGateway
from tests.support.fakes.samples import BOOT, BOOT_MS, arrived, bike_report, cabinet_report

A, B = DeviceId("bike-a"), DeviceId("bike-b")


@pytest.fixture
def gateway() -> FakeGateway:
    gateway = FakeGateway()
    gateway.register([A, B])
    return gateway


async def test_history_then_state_then_acknowledgement_then_receipt(gateway: FakeGateway) -> None:
    await gateway.take(arrived(A, bike_report(1, keep=True)))
    order = ["history.append:done", "live_states.advance", "link.acknowledge", "link.publish"]
    assert [point for point in gateway.interruptions.passed if point in order] == order


async def test_everything_is_acknowledged_in_receive_order_whatever_became_of_it(
    gateway: FakeGateway,
) -> None:
    batch = [
        arrived(B, bike_report(2), packet_id=9),
        arrived(DeviceId("stranger"), bike_report(1), packet_id=3),
        arrived(A, bike_report(1), packet_id=7),
        arrived(B, bike_report(1), packet_id=8),
        arrived(A, bike_report(1), packet_id=1),
    ]
    await gateway.take(*batch)
    assert gateway.acknowledged() == [9, 3, 7, 8, 1]
    assert gateway.counters.counts["advanced"] == 2
    assert gateway.counters.counts["late"] == gateway.counters.counts["repeated"] == 1
    assert gateway.history.stamps() == {(2, BOOT, 2), (2, BOOT, 1), (1, BOOT, 1)}


async def test_every_stored_report_of_a_device_with_something_open_is_offered_as_evidence(
    gateway: FakeGateway,
) -> None:
    device = await gateway.registry.load([A])
    gateway.evidence.open_devices.add(device[A].device_no)
    await gateway.take(arrived(A, bike_report(3)))
    batch = [arrived(A, bike_report(seq)) for seq in (1, 3, 4)]
    await gateway.take(*batch, arrived(B, bike_report(1)))
    assert gateway.evidence.offered == [(A, 3), (A, 1), (A, 3), (A, 4)]
    order = ["history.append:done", "evidence.offer", "live_states.advance", "link.acknowledge"]
    assert [point for point in gateway.interruptions.passed if point in order] == order * 2


async def test_what_could_not_be_offered_is_not_acknowledged(gateway: FakeGateway) -> None:
    device = await gateway.registry.load([A])
    gateway.evidence.open_devices.add(device[A].device_no)
    gateway.interruptions.raise_always("evidence.offer", lambda: StoreUnavailable("commands"))
    with pytest.raises(StoreUnavailable):
        await gateway.take(arrived(A, bike_report(1, keep=True)))
    assert gateway.acknowledged() == []
    assert gateway.receipted() == {}


async def test_an_empty_batch_is_harmless(gateway: FakeGateway) -> None:
    await gateway.take()
    assert gateway.history.rows == []


async def test_kept_reports_are_receipted_by_their_whole_stamps(gateway: FakeGateway) -> None:
    await gateway.take(
        arrived(A, bike_report(1, keep=True)),
        arrived(A, bike_report(2)),
        arrived(A, bike_report(4, keep=True)),
        arrived(A, bike_report(4, keep=True)),
        arrived(B, bike_report(3, keep=True), packet_id=2),
    )
    assert gateway.receipted() == {
        A: [ReportStamp(BOOT, 1), ReportStamp(BOOT, 4)],
        B: [ReportStamp(BOOT, 3)],
    }


async def test_repeated_and_late_kept_reports_are_receipted_again(gateway: FakeGateway) -> None:
    await gateway.take(arrived(A, bike_report(1, keep=True)), arrived(A, bike_report(5, keep=True)))
    await gateway.take(arrived(A, bike_report(1, keep=True)), arrived(A, bike_report(5, keep=True)))
    assert gateway.receipted()[A] == [ReportStamp(BOOT, 1), ReportStamp(BOOT, 5)] * 2
    assert len(gateway.history.rows) == 2


async def test_many_receipts_are_split_and_in_the_devices_own_encoding(gateway: FakeGateway) -> None:
    many = MAX_RECEIPT_STAMPS + 1
    batch = [arrived(A, bike_report(n, keep=True), encoding=Encoding.JSON) for n in range(1, many + 1)]
    await gateway.take(*batch, arrived(B, bike_report(1, keep=True)))
    payloads = [payload for _, _, payload in gateway.link.published]
    assert [payload[:1] == b"{" for payload in payloads] == [True, True, False]
    assert len(gateway.receipted()[A]) == many


async def test_a_basic_device_is_never_receipted(gateway: FakeGateway) -> None:
    await gateway.take(arrived(A, Report(seq=1, keep=True), received_ms=BOOT_MS))
    assert gateway.link.published == []
    assert len(gateway.history.rows) == 1


async def test_a_stamp_with_two_contents_moves_nothing_and_is_not_receipted(gateway: FakeGateway) -> None:
    await gateway.take(arrived(A, bike_report(5, keep=True)))
    before = gateway.fake_states.all()
    gateway.link.published.clear()
    await gateway.take(
        arrived(A, bike_report(5, keep=True, battery_pct=3)), arrived(B, bike_report(1, keep=True))
    )
    assert list(gateway.receipted()) == [B]
    assert gateway.fake_states.all()[A] == before[A]
    assert gateway.counters.refusals == {"stamp_reused": 1}
    assert gateway.acknowledged() == [1, 1, 1]


async def test_what_another_writer_changed_is_read_again_and_kept(gateway: FakeGateway) -> None:
    device = gateway.registry.known(A)
    assert device is not None
    one = arrived(A, bike_report(1))
    await gateway.take(one)
    theirs = gateway.fake_states.all()[A]
    newer = arrived(A, bike_report(9))
    other = FakeGateway(gateway.fake_states)
    other.registry = gateway.registry
    other.history = gateway.history
    other.restart()
    await other.take(newer)
    await gateway.take(arrived(A, bike_report(2)), arrived(A, bike_report(10)))
    state = await gateway.state(device)
    assert state is not None
    assert (state.seq, state.revision) == (10, theirs.revision + 2)
    assert gateway.counters.counts["mismatched"] == 1


async def test_states_that_never_stop_changing_are_trouble_and_nothing_is_acknowledged(
    gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def always_other(shards: object) -> frozenset[DeviceId]:
        return frozenset({A})

    with monkeypatch.context() as patch:
        patch.setattr(gateway.fake_states, "advance", always_other)
        with pytest.raises(LaneTrouble):
            await gateway.take(arrived(A, bike_report(1, keep=True)))
    assert gateway.link.acknowledged == []
    assert gateway.link.published == []
    assert len(gateway.beliefs.cache) == 0
    await gateway.take(arrived(A, bike_report(1, keep=True)))
    assert gateway.acknowledged() == [1]
    assert len(gateway.history.rows) == 1


async def test_while_redis_is_away_nothing_is_acknowledged_and_nothing_doubled(gateway: FakeGateway) -> None:
    gateway.interruptions.raise_always("live_states.advance", lambda: StoreUnavailable("away"))
    batch = [arrived(A, bike_report(1, keep=True)), arrived(B, Report(), received_ms=BOOT_MS)]
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await gateway.take(*batch)
    assert gateway.link.acknowledged == []
    assert gateway.link.published == []
    gateway.interruptions.heal()
    await gateway.take(*batch)
    assert len(gateway.history.rows) == 2
    assert gateway.history.fell_back == 0
    assert gateway.acknowledged() == [1, 1]


async def test_kept_reports_that_a_device_lost_are_told_when_they_become_more(gateway: FakeGateway) -> None:
    hour_ms = 3_600_000
    said = [(1, 0, 0), (2, 3, 0), (3, 3, hour_ms), (4, 4, hour_ms), (5, 5, hour_ms + 9), (6, 5, 3 * hour_ms)]
    for seq, lost, later_ms in said:
        report = structs.replace(bike_report(seq), kept_lost=lost)
        await gateway.take(arrived(A, report, received_ms=BOOT_MS + later_ms))
    assert gateway.counters.lost == [(A, 3), (A, 4), (A, 5)]
    # Another process, which finds the last report in the store, has nothing new to tell.
    gateway.beliefs.drop(shard_of(A))
    report = structs.replace(bike_report(7), kept_lost=5)
    await gateway.take(arrived(A, report, received_ms=BOOT_MS + 9 * hour_ms))
    assert len(gateway.counters.lost) == 3
    both = [structs.replace(bike_report(seq), kept_lost=lost) for seq, lost in ((1, 0), (2, 3))]
    await gateway.take(*(arrived(B, one) for one in both))
    assert gateway.counters.lost[3:] == [(B, 3)]


async def test_a_device_that_sends_only_late_reports_is_named_once(gateway: FakeGateway) -> None:
    await gateway.take(arrived(A, bike_report(1_000)))
    for seq in range(1, 400, 60):
        await gateway.take(arrived(A, bike_report(seq), received_ms=BOOT_MS + (1_000 + seq) * 1000))
    assert gateway.counters.only_late_devices == [A]
    await gateway.take(arrived(A, bike_report(1_001)))
    for seq in range(401, 800, 60):
        await gateway.take(arrived(A, bike_report(seq), received_ms=BOOT_MS + (1_000 + seq) * 1000))
    assert gateway.counters.only_late_devices == [A, A]


async def test_after_a_stamp_with_two_contents_what_the_store_believes_is_read_anew(
    gateway: FakeGateway,
) -> None:
    """A person has set the numbering back beside this process, and the device counts from 1 again."""
    for seq in (1, 1_000):
        await gateway.take(arrived(A, bike_report(seq)))
    believed = gateway.fake_states.all()[A]
    gateway.fake_states.put(shard_of(A), A, rebase(believed).after)
    await gateway.take(arrived(A, bike_report(1, battery_pct=50)))
    assert [frame.reason for frame in gateway.history.quarantined] == ["stamp_reused"]
    await gateway.take(arrived(A, bike_report(2, battery_pct=50)))
    assert gateway.fake_states.all()[A].seq == 2
    assert gateway.counters.counts["late"] == 0


async def test_a_ring_that_drains_beside_new_reports_is_no_alarm(gateway: FakeGateway) -> None:
    for seq in range(1_000, 1_400, 60):
        received_ms = BOOT_MS + seq * 1000
        await gateway.take(
            arrived(A, bike_report(seq)), arrived(A, bike_report(seq - 900), received_ms=received_ms)
        )
    assert gateway.counters.only_late_devices == []


async def test_a_cabinets_units_are_sighted_when_they_move(gateway: FakeGateway) -> None:
    (device,) = gateway.register(["cabinet-a"], "cabinet")
    await gateway.take(arrived(device.device_id, cabinet_report(1, {1: "bank-1", 2: "bank-2"})))
    await gateway.take(arrived(device.device_id, cabinet_report(2, {1: "bank-1", 2: "bank-2"})))
    await gateway.take(arrived(device.device_id, cabinet_report(3, {3: "bank-1", 2: "bank-2"})))
    seen = [(sighting.unit_id, sighting.slot) for sighting in gateway.history.sightings]
    assert seen == [("bank-1", 1), ("bank-2", 2), ("bank-1", 3)]
