"""The first bytes of a CBOR item, in the one shortest form that RFC 8949, 4.2 allows."""

from typing import Final

from firmware_protocol.errors import MalformedFrame

UINT, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE = range(8)
"""The major types."""

_SHORTEST: Final = {24: 24, 25: 0x100, 26: 0x1_0000, 27: 0x1_0000_0000}
"""What an argument in so many further bytes is at least."""


def write_head(major: int, argument: int) -> bytes:
    """The head of an item; `argument` is its value, or its length. Raises ValueError above 64 bits."""
    if argument < 24:
        return bytes((major << 5 | argument,))
    for low, width in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if argument < 1 << 8 * width:
            return bytes((major << 5 | low,)) + argument.to_bytes(width, "big")
    raise ValueError("CBOR lengths and integers have at most 64 bits")


def read_head(frame: bytes, at: int) -> tuple[int, int, int]:
    """Major type, argument, and where the head ends. Raises MalformedFrame unless it is whole and shortest."""
    if at >= len(frame):
        raise MalformedFrame("CBOR: the frame ends in the middle", f"byte {len(frame)}")
    initial = frame[at]
    major, low = initial >> 5, initial & 31
    if low < 24:
        return major, low, at + 1
    least = _SHORTEST.get(low)
    if least is None:
        raise MalformedFrame("CBOR: indefinite or reserved length", f"byte {at}")
    end = at + 1 + (1 << (low - 24))
    if end > len(frame):
        raise MalformedFrame("CBOR: the frame ends in the middle", f"byte {len(frame)}")
    argument = int.from_bytes(frame[at + 1 : end], "big")
    if argument < least:
        raise MalformedFrame("CBOR: not the shortest form", f"byte {at}")
    return major, argument, end
