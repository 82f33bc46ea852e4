"""Where a refused CBOR frame is broken, for the person who reads the quarantine; slow and plain."""

from firmware_protocol.errors import MalformedFrame
from firmware_protocol.limits import MAX_CBOR_DEPTH

MAX_ITEMS = 600
"""How far a fault is looked for: half a millisecond, so that one device's nonsense does not take the time of all.
A cabinet of 24 slots has fewer."""

_UINT, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG = range(7)


def locate_fault(frame: bytes) -> MalformedFrame | None:
    """The first fault of the frame as this wire reads it, with its byte; None when it is one sound map. A frame of
    more than MAX_ITEMS is said to be at fault behind them: only a frame that is refused, or looks like two, is asked
    about."""
    walk = _Walk(frame)
    try:
        walk.item(0)
    except MalformedFrame as fault:
        return fault
    return None if walk.at == len(frame) else MalformedFrame("CBOR: bytes after the map", f"byte {walk.at}")


class _Walk:
    """One pass over the bytes."""

    def __init__(self, frame: bytes) -> None:
        self._frame = frame
        self._items = 0
        self.at = 0

    def item(self, depth: int) -> object:
        """Steps over one item; what it returns can be compared with other map keys."""
        start = self.at
        self._items += 1
        if self._items > MAX_ITEMS:
            raise _fault("broken, or not one map, somewhere behind", start)
        initial = self._take(1)[0]
        major, low = initial >> 5, initial & 31
        if low == 31:
            raise _fault("indefinite length", start)
        if 28 <= low <= 30:
            raise _fault("reserved length", start)
        if major == _TAG:
            raise _fault("tags are not part of this wire", start)
        if major in (_ARRAY, _MAP) and depth >= MAX_CBOR_DEPTH:
            raise _fault(f"nested deeper than {MAX_CBOR_DEPTH}", start)
        width = 1 << (low - 24) if low >= 24 else 0
        argument = int.from_bytes(self._take(width), "big") if width else low
        match major:
            case 0 | 1:
                return argument if major == _UINT else -1 - argument
            case 2 | 3:
                return self._string(major, argument)
            case 4:
                return ("array", *(self.item(depth + 1) for _ in range(argument)))
            case 5:
                return self._map(argument, depth)
        return self._simple(low, argument, start)

    def _string(self, major: int, length: int) -> object:
        start = self.at
        body = self._take(length)
        if major == _BYTES:
            return body
        try:
            return body.decode()
        except UnicodeDecodeError as error:
            raise _fault("text is not UTF-8", start + error.start) from None

    def _map(self, pairs: int, depth: int) -> object:
        keys: set[object] = set()
        for _ in range(pairs):
            start = self.at
            key = self.item(depth + 1)
            if key in keys:
                raise _fault("a key appears twice", start)
            keys.add(key)
            self.item(depth + 1)
        return ("map", frozenset(keys))

    def _simple(self, low: int, argument: int, start: int) -> object:
        if low == 24 and argument < 32:
            raise _fault("a simple value in the wrong form", start)
        return ("simple", low, argument)

    def _take(self, count: int) -> bytes:
        if count > len(self._frame) - self.at:
            raise _fault("the frame ends in the middle", len(self._frame))
        taken = self._frame[self.at : self.at + count]
        self.at += count
        return taken


def _fault(reason: str, at: int) -> MalformedFrame:
    return MalformedFrame(f"CBOR: {reason}", f"byte {at}")
