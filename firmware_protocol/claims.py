"""What a signed frame claims: one CBOR map in the one form that RFC 8949, 4.2 allows."""

from collections.abc import Mapping, Sequence
from typing import Final

from firmware_protocol.cbor_heads import (
    ARRAY,
    BYTES,
    MAP,
    NEGATIVE,
    SIMPLE,
    TEXT,
    UINT,
    read_head,
    write_head,
)
from firmware_protocol.errors import MalformedFrame

MAX_CLAIMS_DEPTH = 4
"""Settings nest two deep; twice that leaves room for later claims."""

_Map = Mapping[int | str, "Claim"] | Mapping[int, "Claim"] | Mapping[str, "Claim"]
Claim = bool | int | str | bytes | None | Sequence["Claim"] | _Map

_CONSTANTS: Final[dict[int, bool | None]] = {20: False, 21: True, 22: None}


def write_claims(claims: Mapping[int, Claim]) -> bytes:
    """The claims in their one form: shortest heads, keys in the order of their bytes."""
    return _written(claims)


def _written(value: Claim) -> bytes:
    match value:
        case bool():
            return write_head(SIMPLE, 21 if value else 20)
        case int():
            return write_head(UINT, value) if value >= 0 else write_head(NEGATIVE, -1 - value)
        case str():
            text = value.encode()
            return write_head(TEXT, len(text)) + text
        case bytes():
            return write_head(BYTES, len(value)) + value
        case None:
            return write_head(SIMPLE, 22)
        case Mapping():
            pairs = sorted((_written(key), _written(item)) for key, item in value.items())
            return write_head(MAP, len(pairs)) + b"".join(key + item for key, item in pairs)
        case _:
            return write_head(ARRAY, len(value)) + b"".join(_written(item) for item in value)


def read_claims(payload: bytes) -> dict[int, Claim]:
    """The claims by number; those with a name instead are left out.

    Raises MalformedFrame for anything but one map in its one form: no floats, no tags, keys strictly rising by their
    bytes (so none is there twice), nothing after it.
    """
    major, pairs, at = read_head(payload, 0)
    if major != MAP:
        raise MalformedFrame("claims are not a map", "byte 0")
    claims, end = _map(payload, pairs, at, 1)
    if end != len(payload):
        raise MalformedFrame("CBOR: bytes after the map", f"byte {end}")
    return {key: value for key, value in claims.items() if type(key) is int}


def _item(payload: bytes, start: int, depth: int) -> tuple[Claim, int]:
    major, argument, at = read_head(payload, start)
    if major == UINT:
        return argument, at
    if major == NEGATIVE:
        return -1 - argument, at
    if major in (BYTES, TEXT):
        end = at + argument
        if end > len(payload):
            raise MalformedFrame("CBOR: the frame ends in the middle", f"byte {len(payload)}")
        return (payload[at:end] if major == BYTES else _text(payload[at:end], at)), end
    if major in (ARRAY, MAP) and depth >= MAX_CLAIMS_DEPTH:
        raise MalformedFrame(f"CBOR: nested deeper than {MAX_CLAIMS_DEPTH}", f"byte {start}")
    if major == MAP:
        return _map(payload, argument, at, depth + 1)
    if major == ARRAY:
        return _array(payload, argument, at, depth + 1)
    # A constant of two bytes is never shorter than 32, so none of these is hidden in a longer form.
    if major == SIMPLE and argument in _CONSTANTS and at == start + 1:
        return _CONSTANTS[argument], at
    raise MalformedFrame("CBOR: a float, a tag or a constant that has no place in claims", f"byte {start}")


def _text(body: bytes, at: int) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise MalformedFrame("CBOR: text is not UTF-8", f"byte {at + error.start}") from None


def _array(payload: bytes, length: int, at: int, depth: int) -> tuple[list[Claim], int]:
    items: list[Claim] = []
    for _ in range(length):
        item, at = _item(payload, at, depth)
        items.append(item)
    return items, at


def _map(payload: bytes, pairs: int, at: int, depth: int) -> tuple[dict[int | str, Claim], int]:
    found: dict[int | str, Claim] = {}
    before = b""
    for _ in range(pairs):
        start = at
        key, at = _item(payload, at, depth)
        if type(key) is not int and type(key) is not str:
            raise MalformedFrame("CBOR: a key that is neither an integer nor text", f"byte {start}")
        if payload[start:at] <= before:
            raise MalformedFrame("CBOR: keys do not rise", f"byte {start}")
        before = payload[start:at]
        found[key], at = _item(payload, at, depth)
    return found, at
