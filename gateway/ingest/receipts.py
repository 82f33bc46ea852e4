"""The gateway's word that kept reports are committed."""

from collections.abc import Iterable, Mapping

from firmware_protocol.codec import Encoding, encode_receipt, encoding_of
from firmware_protocol.limits import MAX_RECEIPT_STAMPS
from firmware_protocol.messages import DeviceId, Receipt, ReportStamp
from firmware_protocol.topics import receipt_topic
from gateway.ingest.filing import DeviceReports
from gateway.ports import DeviceLink

Stamps = dict[ReportStamp, None]
"""In the order received, each once."""


def publish_receipts(by_device: Mapping[DeviceId, DeviceReports], link: DeviceLink) -> int:
    """Names every kept report of full devices by its whole stamp, never just the highest; late and repeated
    ones too, because the device still holds them. Returns how many were named."""
    named = 0
    for device_id, reports in by_device.items():
        kept = _kept_stamps(reports) if reports.any_kept else None
        if kept:
            encoding = encoding_of(reports.stamped[-1].frame)
            for payload in _payloads(list(kept), encoding):
                link.publish(reports.shard, receipt_topic(device_id), payload)
            named += len(kept)
    return named


def _kept_stamps(reports: DeviceReports) -> Stamps | None:
    kept: Stamps | None = None
    for stamped in reports.stamped:
        if stamped.report.keep and stamped.boot:
            if kept is None:
                kept = {}
            kept[stamped.stamp] = None
    return kept


def _payloads(stamps: list[ReportStamp], encoding: Encoding) -> Iterable[bytes]:
    for start in range(0, len(stamps), MAX_RECEIPT_STAMPS):
        receipt = Receipt(tuple(stamps[start : start + MAX_RECEIPT_STAMPS]))
        yield encode_receipt(receipt, encoding=encoding)
