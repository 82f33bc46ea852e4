"""History rows as the bytes of a binary COPY."""

import struct
from collections.abc import Iterable

from gateway.ports import HistoryRow

COLUMNS = (
    "device_no, operator_id, boot, seq, at, received_at, clock_suspect, kept, lat_e7, lon_e7, accuracy_m, "
    "battery_pct, bolt, moving, units, spaces, signal_dbm, frame"
)
COLUMN_COUNT = 18

HEADER = b"PGCOPY\n\xff\r\n\x00" + struct.pack("!ii", 0, 0)
TRAILER = struct.pack("!h", -1)

PG_EPOCH_MS = 946_684_800_000
"""2000-01-01T00:00:00Z in Unix milliseconds: where PostgreSQL counts its microseconds from."""

CANNOT_BE_PACKED = (struct.error, OverflowError)
"""What is raised for a value that its column cannot hold."""

_CALENDAR_MS = (-210_800_000_000_000, 9_224_250_000_000_000)
"""Two years less, on either side, than PostgreSQL's calendar holds: bounds around a row time must be in it too."""

# Every value is preceded by its length in bytes; -1 stands for NULL. These never change, so they are put in as bytes,
# which costs half of packing a number. A row begins with how many columns it has, and the first one's length.
_BEGIN = struct.pack("!hi", COLUMN_COUNT, 4)
_1, _2, _4, _8, _NULL = (struct.pack("!i", length) for length in (1, 2, 4, 8, -1))
_COUNT = f"!6si4si{'4sq' * 4}{'4s?' * 2}"
_FULL = struct.Struct(f"{_COUNT}{'4si' * 2}4sf{'4sh' * 2}4s?{'4sh' * 3}i")
_BIKE = struct.Struct(f"{_COUNT}{'4si' * 2}4sf{'4sh' * 2}4s?{'4s' * 2}4shi")
_ALWAYS = struct.Struct(_COUNT)
_FIX = struct.Struct("!4si4si4sf")
_NO_FIX = _NULL * 3
_LENGTH = struct.Struct("!i")


class _Packed(dict[int | bool | None, bytes]):
    """Small values with their length, packed once each."""

    def __init__(self, layout: str) -> None:
        super().__init__({None: struct.pack("!i", -1)})
        self._layout = struct.Struct(layout)

    def __missing__(self, value: int | bool | None) -> bytes:
        packed = self._layout.pack(self._layout.size - 4, value)
        if len(self) < 1024:
            self[value] = packed
        return packed


_SHORT = _Packed("!ih")
_FLAG = _Packed("!i?")


def pack_rows(rows: Iterable[HistoryRow]) -> bytes:
    """The whole COPY stream. Raises one of CANNOT_BE_PACKED."""
    pieces = [HEADER]
    add = pieces.append
    full, bike = _FULL.pack, _BIKE.pack
    for row in rows:
        lat, accuracy, frame = row.lat_e7, row.accuracy_m, row.frame
        battery, bolt, moving = row.battery_pct, row.bolt, row.moving
        units, spaces, signal = row.units, row.spaces, row.signal_dbm
        # fmt: off
        if lat is None or accuracy is None or battery is None or bolt is None or moving is None or signal is None:
            add(_pack_with_nulls(row))
        elif units is None and spaces is None:
            add(bike(_BEGIN, row.device_no, _4, row.operator_id, _8, row.boot, _8, row.seq,
                     _8, (row.at_ms - PG_EPOCH_MS) * 1000, _8, (row.received_ms - PG_EPOCH_MS) * 1000,
                     _1, row.clock_suspect, _1, row.kept, _4, lat, _4, row.lon_e7, _4, accuracy,
                     _2, battery, _2, bolt, _1, moving, _NULL, _NULL, _2, signal, len(frame)))
        elif units is None or spaces is None:
            add(_pack_with_nulls(row))
        else:
            add(full(_BEGIN, row.device_no, _4, row.operator_id, _8, row.boot, _8, row.seq,
                     _8, (row.at_ms - PG_EPOCH_MS) * 1000, _8, (row.received_ms - PG_EPOCH_MS) * 1000,
                     _1, row.clock_suspect, _1, row.kept, _4, lat, _4, row.lon_e7, _4, accuracy,
                     _2, battery, _2, bolt, _1, moving, _2, units, _2, spaces, _2, signal, len(frame)))
        # fmt: on
        add(frame)
    add(TRAILER)
    return b"".join(pieces)


def pack_fields(row: HistoryRow) -> list[bytes | None]:
    """One row as the arguments of a statement, in the order of COLUMNS. Raises one of CANNOT_BE_PACKED."""
    packed = pack_rows((row,))
    at = len(HEADER) + 2
    fields: list[bytes | None] = []
    for _ in range(COLUMN_COUNT):
        (length,) = _LENGTH.unpack_from(packed, at)
        at += _LENGTH.size
        fields.append(None if length < 0 else packed[at : at + length])
        at += max(0, length)
    return fields


def why_not_packed(row: HistoryRow) -> str | None:
    """What no table can hold of this row; None when it can be packed and its times are in the calendar."""
    earliest_ms, latest_ms = _CALENDAR_MS
    if not all(earliest_ms <= at_ms <= latest_ms for at_ms in (row.at_ms, row.received_ms)):
        return "a time outside of the calendar"
    try:
        pack_rows((row,))
    except CANNOT_BE_PACKED as error:
        return str(error)
    return None


def _pack_with_nulls(row: HistoryRow) -> bytes:
    # fmt: off
    return b"".join((
        _ALWAYS.pack(_BEGIN, row.device_no, _4, row.operator_id, _8, row.boot, _8, row.seq,
                     _8, (row.at_ms - PG_EPOCH_MS) * 1000, _8, (row.received_ms - PG_EPOCH_MS) * 1000,
                     _1, row.clock_suspect, _1, row.kept),
        _pack_fix(row), _SHORT[row.battery_pct], _SHORT[row.bolt], _FLAG[row.moving],
        _SHORT[row.units], _SHORT[row.spaces], _SHORT[row.signal_dbm], _LENGTH.pack(len(row.frame)),
    ))
    # fmt: on


def _pack_fix(row: HistoryRow) -> bytes:
    if row.lat_e7 is None and row.lon_e7 is None and row.accuracy_m is None:
        return _NO_FIX
    if row.lat_e7 is None or row.lon_e7 is None or row.accuracy_m is None:
        return b"".join((_int4(row.lat_e7), _int4(row.lon_e7), _real(row.accuracy_m)))
    return _FIX.pack(_4, row.lat_e7, _4, row.lon_e7, _4, row.accuracy_m)


def _int4(value: int | None) -> bytes:
    return struct.pack("!i", -1) if value is None else struct.pack("!ii", 4, value)


def _real(value: float | None) -> bytes:
    return struct.pack("!i", -1) if value is None else struct.pack("!if", 4, value)
