"""Stamp and keep of an encoded report, without decoding the rest: what a generator of load can afford."""

from typing import NamedTuple

from msgspec import Struct
from msgspec.json import Decoder

from firmware_protocol import codec
from firmware_protocol.cbor import REPORT_KEYS


class Label(NamedTuple):
    """What tells one report of a device from another."""

    boot: int
    seq: int
    keep: bool


class _Labelled(Struct, gc=False):
    boot: int = 0
    seq: int = 0
    keep: bool = False


_JSON = Decoder(_Labelled)
_BOOT = REPORT_KEYS.keys["boot"]
_SEQ = REPORT_KEYS.keys["seq"]
_KEEP = REPORT_KEYS.keys["keep"]
_LONGEST = 27


def label_of(frame: bytes) -> Label:
    """The label of a well-formed report that has a seq. Raises MalformedFrame for what is no report."""
    if frame[:1] == b"{":
        head = _JSON.decode(frame)
        return Label(head.boot, head.seq, head.keep)
    return _from_cbor(frame) or _decoded(frame)


def _decoded(frame: bytes) -> Label:
    report = codec.decode_report(frame)
    return Label(report.boot, report.seq or 0, report.keep)


def _from_cbor(frame: bytes) -> Label | None:
    """From the first pairs of a map whose keys rise, as our encoder writes them; None when they do not."""
    boot, seq, keep = 0, None, False
    at, last_key = 1, -1
    if not 0xA1 <= frame[0] <= 0xB7:
        return None
    for _ in range(frame[0] & 0x1F):
        key = frame[at]
        if not last_key < key < 24:
            return None
        if key > _KEEP:
            break
        last_key = key
        at += 1
        value, at = _scalar(frame, at)
        if value is None:
            return None
        if key == _BOOT:
            boot = value
        elif key == _SEQ:
            seq = value
        elif key == _KEEP:
            keep = value == 1
    return None if seq is None else Label(boot, seq, keep)


def _scalar(frame: bytes, at: int) -> tuple[int | None, int]:
    """An integer or a boolean as an integer, and where the next item begins."""
    first = frame[at]
    if first in (0xF4, 0xF5):
        return first & 1, at + 1
    major, size = first >> 5, first & 0x1F
    if major > 1 or size > _LONGEST:
        return None, at
    if size < 24:
        number, end = size, at + 1
    else:
        end = at + 1 + (1 << size - 24)
        number = int.from_bytes(frame[at + 1 : end], "big")
    return (number if major == 0 else -1 - number), end
