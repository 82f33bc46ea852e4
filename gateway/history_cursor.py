"""Where a page of history ended, as a word that the client gives back: it holds the range too, which may have been left
out of the question."""

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from zlib import crc32

from gateway.reading import BadCursor, HistoryQuestion

_CURSOR = struct.Struct("!Iqqqqq")


def cursor(question: HistoryQuestion, at_ms: int, boot: int, seq: int) -> str:
    """After the point of that time (Unix ms) and number."""
    packed = _CURSOR.pack(_fingerprint(question), question.from_ms, question.to_ms, at_ms, boot, seq)
    return urlsafe_b64encode(packed).decode().rstrip("=")


def range_of(given: str) -> tuple[int, int]:
    """From and to, in Unix ms, of the question that the page before answered; whoever forged it may say anything.
    Raises BadCursor."""
    _, from_ms, to_ms, *_ = _unpacked(given)
    return from_ms, to_ms


def place_of(question: HistoryQuestion, width_ms: int) -> tuple[int, int, int]:
    """Time (Unix ms), boot and number of the last point of the page before; a step is `width_ms` wide. Raises
    BadCursor unless the question is the same."""
    fingerprint, _, _, at_ms, boot, seq = _unpacked(question.after or "")
    in_range = question.from_ms - width_ms <= at_ms < question.to_ms
    if fingerprint != _fingerprint(question) or not in_range:
        raise BadCursor
    return at_ms, boot, seq


def _unpacked(given: str) -> tuple[int, int, int, int, int, int]:
    try:
        found: tuple[int, int, int, int, int, int] = _CURSOR.unpack(
            urlsafe_b64decode(given + "=" * (-len(given) % 4))
        )
    except (ValueError, struct.error) as error:
        raise BadCursor from error
    return found


def _fingerprint(question: HistoryQuestion) -> int:
    """Of what must stay the same from page to page; how long a page is may change."""
    whose = f"{question.device_no} {question.operator_id}"
    return crc32(f"{whose} {question.step} {question.from_ms} {question.to_ms}".encode())
