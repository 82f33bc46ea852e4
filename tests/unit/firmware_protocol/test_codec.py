"""Decode reverses encode; whatever else arrives is valid and storable, or MalformedFrame."""

import math
from collections.abc import Callable
from typing import Any

import cbor2
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_protocol.codec import (
    Encoding,
    decode_hello,
    decode_receipt,
    decode_report,
    decode_welcome,
    encode_hello,
    encode_receipt,
    encode_report,
    encode_welcome,
    encoding_of,
)
from firmware_protocol.errors import MalformedFrame
from firmware_protocol.limits import MAX_FRAME_BYTES
from firmware_protocol.messages import Hello, Receipt, Report, Welcome
from tests.unit.firmware_protocol import strategies
from tests.vectors import regenerate

encodings = st.sampled_from(Encoding)
SAMPLE_FRAMES = [
    (message, regenerate.ENCODERS[message](value, encoding=encoding))
    for message, named in regenerate.SAMPLES.items()
    for _, value in named.values()
    for encoding in Encoding
]


def assert_storable(value: Any) -> None:
    """What PostgreSQL's bigint, double precision and text can hold."""
    match value:
        case dict():
            for item in value.values():
                assert_storable(item)
        case list() | tuple():
            for item in value:
                assert_storable(item)
        case int():
            assert -(2**63) <= value < 2**63
        case float():
            assert math.isfinite(value)
        case str():
            assert value.isascii()
            assert value.isprintable()


def outcome(decode: Callable[[bytes], msgspec.Struct], frame: bytes) -> msgspec.Struct | MalformedFrame:
    try:
        message = decode(frame)
    except MalformedFrame as error:
        fault = error
    else:
        return storable(message)
    assert fault.reason
    assert fault.at.startswith(("$", "byte "))
    return fault


def storable(message: msgspec.Struct) -> msgspec.Struct:
    fields = msgspec.to_builtins(message)
    fields.pop("power_on_id", None)
    assert_storable(fields)
    return message


@given(strategies.reports, encodings)
def test_decode_reverses_encode_of_reports(report: Report, encoding: Encoding) -> None:
    frame = encode_report(report, encoding=encoding)
    assert encoding_of(frame) is encoding
    assert decode_report(frame) == report


@given(strategies.hellos, strategies.welcomes, strategies.receipts, encodings)
def test_decode_reverses_encode_of_the_rest(
    hello: Hello, welcome: Welcome, receipt: Receipt, encoding: Encoding
) -> None:
    assert decode_hello(encode_hello(hello, encoding=encoding)) == hello
    assert decode_welcome(encode_welcome(welcome, encoding=encoding)) == welcome
    assert decode_receipt(encode_receipt(receipt, encoding=encoding)) == receipt


@given(strategies.reports)
def test_both_encodings_say_the_same_and_cbor_is_shorter(report: Report) -> None:
    as_json, as_cbor = (encode_report(report, encoding=encoding) for encoding in Encoding)
    assert decode_report(as_json) == decode_report(as_cbor)
    assert len(as_cbor) < len(as_json)


def test_defaults_are_left_out() -> None:
    assert encode_report(Report(), encoding=Encoding.JSON) == b"{}"
    assert encode_report(Report(), encoding=Encoding.CBOR) == b"\xa0"
    assert encode_hello(Hello(7, "m"), encoding=Encoding.CBOR) == cbor2.dumps({0: 7, 1: "m"})


@settings(max_examples=400)
@given(st.sampled_from(SAMPLE_FRAMES), st.data())
def test_every_changed_byte_is_valid_or_malformed(sample: tuple[str, bytes], data: st.DataObject) -> None:
    message, frame = sample
    changed = bytearray(frame)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    outcome(regenerate.DECODERS[message], bytes(changed))


@pytest.mark.parametrize(("message", "frame"), SAMPLE_FRAMES)
def test_every_proper_prefix_is_malformed(message: str, frame: bytes) -> None:
    for length in range(len(frame)):
        assert isinstance(outcome(regenerate.DECODERS[message], frame[:length]), MalformedFrame)


@pytest.mark.parametrize(("message", "frame"), SAMPLE_FRAMES)
def test_nothing_may_follow_a_frame(message: str, frame: bytes) -> None:
    for rest in (b"\x00", b"x", frame):
        assert isinstance(outcome(regenerate.DECODERS[message], frame + rest), MalformedFrame)


@given(st.binary(max_size=64) | st.binary(max_size=64).map(lambda rest: b"{" + rest))
def test_any_bytes_are_valid_or_malformed(frame: bytes) -> None:
    for decode in regenerate.DECODERS.values():
        outcome(decode, frame)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(Report.__struct_fields__), json_values, max_size=4))
def test_any_value_in_any_field_is_valid_or_malformed(fields: dict[str, Any]) -> None:
    outcome(decode_report, msgspec.json.encode(fields))
    numbered = {Report.__struct_fields__.index(name): value for name, value in fields.items()}
    outcome(decode_report, cbor2.dumps(numbered))


def test_bombs_are_refused_whole() -> None:
    for frame in (
        b'{"x":' + b"[" * 8000 + b"]" * 8000 + b"}",
        b'{"x":' + b'{"y":' * 3000 + b"0" + b"}" * 3001,
        b"\xa1\x18\x64" + b"\x81" * 16000 + b"\x00",
        b"\xa1\x18\x64" + b"\xa1\x00" * 8000 + b"\x00",
        b"\xbb" + b"\xff" * 8,
        b"\xa1\x07\x9b" + b"\xff" * 8,
        b"\xa1\x0e\x7b" + b"\xff" * 8,
        b"\xa1\x00\xc2\x59\x3f\x00" + b"\xff" * 0x3F00,
        b'{"seq":' + b"9" * 16000 + b"}",
        b'{"fix":{"lat_e7":1,"lon_e7":1,"accuracy_m":1e' + b"9" * 300 + b"}}",
        b" " * (MAX_FRAME_BYTES + 1),
    ):
        assert isinstance(outcome(decode_report, frame), MalformedFrame)


def test_the_bound_of_a_frame_is_inclusive() -> None:
    filler = MAX_FRAME_BYTES - len(b'{"x":""}')
    assert decode_report(b'{"x":"' + b"a" * filler + b'"}') == Report()
    with pytest.raises(MalformedFrame, match="longer than 16384"):
        decode_report(b'{"x":"' + b"a" * (filler + 1) + b'"}')
