"""A receipt names whole stamps, never just the highest."""

from firmware_protocol.codec import decode_receipt
from firmware_protocol.limits import MAX_RECEIPT_STAMPS
from firmware_protocol.messages import DeviceId, ReportStamp
from gateway.core.device import DeviceRecord, Status
from gateway.ingest.admission import Admitted
from gateway.ingest.filing import file_reports
from gateway.ingest.receipts import publish_receipts
from gateway.ingest.state_cache import CachedState
from tests.support.fakes.device_link import FakeDeviceLink
from tests.support.fakes.samples import BIKE, BOOT, arrived, bike_report

A = DeviceId("bike-a")
DEVICE = DeviceRecord(1, A, 1, "bike", Status.ACTIVE, "p", 123_456_789, boot=BOOT)


def receipts(seqs: list[int], kept: set[int]) -> list[list[ReportStamp]]:
    batch = [arrived(A, bike_report(seq, keep=seq in kept)) for seq in seqs]
    admitted = [Admitted(one, one.report, DEVICE, BIKE) for one in batch if one.report is not None]
    link = FakeDeviceLink()
    named = publish_receipts(file_reports(admitted, {A: CachedState(1, None)}).by_device, link)
    stamps = [list(decode_receipt(payload).stamps) for _, _, payload in link.published]
    assert named == sum(map(len, stamps))
    return stamps


def test_only_kept_reports_each_once() -> None:
    assert receipts([1, 2, 3, 2, 5], {2, 5}) == [[ReportStamp(BOOT, 2), ReportStamp(BOOT, 5)]]
    assert receipts([1, 2, 3], set()) == []


def test_long_receipts_are_split() -> None:
    seqs = list(range(1, 2 * MAX_RECEIPT_STAMPS + 2))
    assert [len(stamps) for stamps in receipts(seqs, set(seqs))] == [
        MAX_RECEIPT_STAMPS,
        MAX_RECEIPT_STAMPS,
        1,
    ]
