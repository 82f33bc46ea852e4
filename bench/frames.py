"""Report frames at the price of a copy: encoded once by the real codec, then patched in place."""

import struct

from firmware_protocol.codec import Encoding, encode_report
from firmware_protocol.messages import Bolt, Fix, Lock, Report

# Sentinels that CBOR must write at full width (RFC 8949 section 3: additional information 26 and 27),
# so that any smaller value can be written over them.
_SEQ = 0x1122334455667788
_ELAPSED_MS = 0x0102030405060708
_LAT_E7 = 0x15263748
_LON_E7 = 0x2A3B4C5D


class FrameTemplate:
    """The frame of a bike whose stamp, time and position change from report to report."""

    def __init__(self, *, boot: int, keep: bool) -> None:
        report = Report(
            boot=boot,
            seq=_SEQ,
            elapsed_ms=_ELAPSED_MS,
            keep=keep,
            fix=Fix(lat_e7=_LAT_E7, lon_e7=_LON_E7, accuracy_m=8.0),
            lock=Lock(bolt=Bolt.CLOSED, last_fence=3, openings=41),
            battery_pct=71,
            moving=False,
            signal_dbm=-87,
        )
        self._frame = bytearray(encode_report(report, encoding=Encoding.CBOR))
        self._seq_at = self._place(struct.pack(">Q", _SEQ))
        self._elapsed_at = self._place(struct.pack(">Q", _ELAPSED_MS))
        self._lat_at = self._place(struct.pack(">I", _LAT_E7))
        self._lon_at = self._place(struct.pack(">I", _LON_E7))

    def _place(self, sentinel: bytes) -> int:
        assert self._frame.count(sentinel) == 1, "a sentinel must stand exactly once in the frame"
        return self._frame.index(sentinel)

    def fill(self, *, seq: int, elapsed_ms: int, lat_e7: int, lon_e7: int) -> bytes:
        """One frame; all values must be non-negative."""
        frame = self._frame
        struct.pack_into(">Q", frame, self._seq_at, seq)
        struct.pack_into(">Q", frame, self._elapsed_at, elapsed_ms)
        struct.pack_into(">I", frame, self._lat_at, lat_e7)
        struct.pack_into(">I", frame, self._lon_at, lon_e7)
        return bytes(frame)
