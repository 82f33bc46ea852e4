"""The bounds agree with each other."""

from firmware_protocol import limits
from firmware_protocol.codec import Encoding, decode_report, encode_receipt, encode_report
from firmware_protocol.messages import Bolt, Receipt, Report, ReportStamp, Slot


def full_cabinet() -> Report:
    slots = tuple(
        Slot(
            number=number,
            unit_id="U" * limits.MAX_ID_CHARS,
            bolt=Bolt.CLOSED,
            charge_pct=100,
            last_fence=100_000,
            openings=1_000_000,
        )
        for number in range(1, limits.MAX_SLOTS + 1)
    )
    return Report(boot=1_790_000_000, seq=10**6, elapsed_ms=10**9, slots=slots, signal_dbm=-100)


def test_the_largest_cabinet_fits_a_frame_in_both_encodings() -> None:
    for encoding in Encoding:
        frame = encode_report(full_cabinet(), encoding=encoding)
        assert len(frame) <= limits.MAX_FRAME_BYTES
        assert decode_report(frame) == full_cabinet()


def test_the_longest_receipt_is_as_short_as_its_limit_says() -> None:
    stamps = tuple(ReportStamp(1_790_000_000, 10**8 + seq) for seq in range(limits.MAX_RECEIPT_STAMPS))
    assert len(encode_receipt(Receipt(stamps), encoding=Encoding.JSON)) <= 1536
    assert limits.MAX_RECEIPT_STAMPS >= limits.KEPT_RING_SIZE
