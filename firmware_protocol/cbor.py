"""CBOR bytes to named fields and back, by the integer keys of the wire."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

import cbor2

from firmware_protocol.cbor_faults import locate_fault
from firmware_protocol.errors import MalformedFrame
from firmware_protocol.limits import MAX_CBOR_DEPTH


class Keys:
    """The integer keys of one message: a name's key is its place, and a place is never given anew.

    `inner` names the fields that are such messages, or lists of them; those hold no further ones.
    """

    __slots__ = ("inner", "inner_names", "keys", "names", "ordered")

    def __init__(self, *names: str, inner: Mapping[str, "Keys"] | None = None) -> None:
        self.names: Final = dict(enumerate(names))
        self.keys: Final = {name: key for key, name in self.names.items()}
        self.ordered: Final = names
        self.inner: Final = dict(inner or {})
        self.inner_names: Final = tuple((name, keys.ordered) for name, keys in self.inner.items())


FIX_KEYS = Keys("lat_e7", "lon_e7", "accuracy_m", "age_ms")
LOCK_KEYS = Keys("bolt", "last_fence", "openings")
SLOT_KEYS = Keys(
    *("number", "unit_id", "bolt", "door_closed", "occupied"),
    *("charge_pct", "last_fence", "openings", "faults"),
)
REPORT_KEYS = Keys(
    *("boot", "seq", "elapsed_ms", "reported_at_ms", "keep", "fix", "lock", "slots"),
    *("battery_pct", "charging", "moving", "faults", "alarms", "signal_dbm", "firmware", "kept_lost"),
    inner={"fix": FIX_KEYS, "lock": LOCK_KEYS, "slots": SLOT_KEYS},
)
HELLO_KEYS = Keys("power_on_id", "model", "firmware", "hello_sent_ms")
WELCOME_KEYS = Keys("power_on_id", "boot", "server_time_ms", "hello_sent_ms")
RECEIPT_KEYS = Keys("stamps")


def _refuse_tag(_: object, __: bool) -> NoReturn:
    raise cbor2.CBORDecodeError("tags are not part of this wire")


# Built-in tags would otherwise be acted on: compiled as patterns, parsed as dates, shared as cycles.
_BUILT_IN_TAGS = (
    *(0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54),
    *(100, 256, 258, 260, 261, 1004, 43000, 55799),
)
_NO_TAGS: Mapping[int, Any] = dict.fromkeys(_BUILT_IN_TAGS, _refuse_tag)

_STRICTLY: Final[Mapping[str, Any]] = {
    "tag_hook": _refuse_tag,
    "semantic_decoders": _NO_TAGS,
    "max_depth": MAX_CBOR_DEPTH + 1,
    "allow_indefinite": False,
    "allow_duplicate_keys": False,
}

# A frame is read as the first of two items, which is the cheapest way to learn that nothing stands between it and
# its end. No float equals this number, and no end of it is also a beginning of it: what reads as it, is it.
_END_VALUE: Final = 0x4C41_5443_484B_4559
_END: Final = b"\x1b" + _END_VALUE.to_bytes(8, "big")


def read_fields(frame: bytes, keys: Keys) -> dict[str, Any]:
    """The map in the frame with names instead of integer keys; unknown keys are left out.

    Raises MalformedFrame for anything but one definite map without tags and without doubled keys.
    """
    try:
        fields, end = cbor2.loads(b"\x82" + frame + _END, **_STRICTLY)
    except (cbor2.CBORError, ValueError, RecursionError) as error:
        raise locate_fault(frame) or MalformedFrame(f"CBOR: {error}", "$") from None
    if end != _END_VALUE or _END in frame:
        fault = locate_fault(frame)
        if fault is not None or end != _END_VALUE:
            raise fault or MalformedFrame("CBOR: bytes after the map", "$")
    if type(fields) is not dict:
        raise MalformedFrame("CBOR: not a map", "$")
    return _named(fields, keys)


def read_all_fields(frames: Sequence[bytes], keys: Keys) -> list[dict[str, Any]] | None:
    """As `read_fields` of each, in one reading, for one call of the decoder. None when any of them is not as it should
    be: `read_fields` then tells which, and what is wrong with it."""
    count = len(frames)
    joined = _END.join(frames) + _END
    # Between one end and the next stands one item, or not every second item were an end: there are no others.
    if joined.count(_END) != count:
        return None
    head = bytearray()
    _write_head(head, 0x80, 2 * count)
    try:
        items = cbor2.loads(head + joined, **_STRICTLY)
    except (cbor2.CBORError, ValueError, RecursionError):
        return None
    maps = items[::2]
    if items[1::2] != [_END_VALUE] * count or not all(type(one) is dict for one in maps):
        return None
    return [_named(one, keys) for one in maps]


def _named(fields: dict[Any, Any], keys: Keys) -> dict[str, Any]:
    named = _flat(fields, keys.ordered)
    for name, names in keys.inner_names:
        if name not in named:
            continue
        value = named[name]
        if type(value) is dict:
            named[name] = _flat(value, names)
        elif type(value) is list:
            named[name] = [_flat(item, names) if type(item) is dict else item for item in value]
    return named


def _flat(fields: dict[Any, Any], names: tuple[str, ...]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    count = len(names)
    for key, value in fields.items():
        # True and 1.0 equal 1 in Python, not on the wire.
        if type(key) is int and 0 <= key < count:
            named[names[key]] = value
    return named


def write_fields(fields: Mapping[str, Any], keys: Keys) -> bytes:
    """The fields as one CBOR map in its shortest form; names must be known to `keys`."""
    out = bytearray()
    _write_map(out, fields, keys)
    return bytes(out)


def _write_map(out: bytearray, fields: Mapping[str, Any], keys: Keys) -> None:
    _write_head(out, 0xA0, len(fields))
    for name, value in fields.items():
        _write_head(out, 0x00, keys.keys[name])
        _write_value(out, value, keys.inner.get(name))


def _write_value(out: bytearray, value: Any, inner: Keys | None) -> None:
    kind = type(value)
    if kind is bool:
        out.append(0xF5 if value else 0xF4)
    elif kind is int:
        _write_head(out, 0x00 if value >= 0 else 0x20, value if value >= 0 else -1 - value)
    elif kind is str:
        text = value.encode()
        _write_head(out, 0x60, len(text))
        out += text
    elif kind is float:
        _write_float(out, value)
    elif kind is dict and inner is not None:
        _write_map(out, value, inner)
    elif kind is list or kind is tuple:
        _write_head(out, 0x80, len(value))
        for item in value:
            _write_value(out, item, inner)
    else:
        raise TypeError(f"no place on the wire for {kind.__name__}")


def _write_head(out: bytearray, major: int, argument: int) -> None:
    if argument < 24:
        out.append(major | argument)
    elif argument < 0x100:
        out += bytes((major | 24, argument))
    elif argument < 0x10000:
        out.append(major | 25)
        out += argument.to_bytes(2, "big")
    elif argument < 0x100000000:
        out.append(major | 26)
        out += argument.to_bytes(4, "big")
    else:
        out.append(major | 27)
        out += argument.to_bytes(8, "big")


def _write_float(out: bytearray, value: float) -> None:
    # A whole number is one to five bytes as an integer, and every decoder here takes it as a float.
    if abs(value) < 2**32 and value == int(value):
        _write_head(out, 0x00 if value >= 0 else 0x20, int(value) if value >= 0 else -1 - int(value))
        return
    for initial, form in ((0xF9, ">e"), (0xFA, ">f")):
        try:
            packed = struct.pack(form, value)
        except OverflowError:
            continue
        if struct.unpack(form, packed)[0] == value:
            out.append(initial)
            out += packed
            return
    out.append(0xFB)
    out += struct.pack(">d", value)
