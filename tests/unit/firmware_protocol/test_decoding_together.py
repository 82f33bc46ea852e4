"""Frames that are decoded together come to what each comes to alone, whatever the others are."""

import cbor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from firmware_protocol import cbor
from firmware_protocol.codec import Encoding, decode_report, decode_reports, encode_report
from firmware_protocol.errors import MalformedFrame
from firmware_protocol.limits import MAX_FRAME_BYTES
from firmware_protocol.messages import Report
from tests.unit.firmware_protocol.strategies import reports

PLAIN = encode_report(Report(boot=7, seq=1, elapsed_ms=5, battery_pct=71), encoding=Encoding.CBOR)
END = cbor._END

frames = reports.map(lambda report: encode_report(report, encoding=Encoding.CBOR))
broken = st.builds(
    lambda frame, at, piece: frame[: at % len(frame)] + piece + frame[at % len(frame) :],
    frames,
    st.integers(0, 500),
    st.binary(max_size=8)
    | st.sampled_from((END, END * 2, END[:5], END[3:], PLAIN, b"\x82", b"\x59\x00\x40")),
)
cut = st.builds(lambda frame, at: frame[: at % len(frame)], frames, st.integers(0, 500))


def alone(frame: bytes) -> Report | None:
    try:
        return decode_report(frame)
    except MalformedFrame:
        return None


@example([b"\xa1\x0f" + END], 2)
@given(st.lists(frames, min_size=1, max_size=4), st.integers(1, 8))
def test_well_formed_frames_come_to_what_each_comes_to_alone(some: list[bytes], times: int) -> None:
    # A number may be the very mark: then each is decoded alone, as is tested below.
    has_mark = any(END in frame for frame in some)
    assert decode_reports(some * times) == (
        None if has_mark else [decode_report(frame) for frame in some] * times
    )


@given(st.lists(frames | broken | cut | st.binary(max_size=30), min_size=1, max_size=4))
def test_what_is_taken_together_would_have_been_taken_alone(some: list[bytes]) -> None:
    together = decode_reports(some)
    assert together is None or together == [alone(frame) for frame in some]


@pytest.mark.parametrize(
    "some",
    [
        # One that takes the mark behind it, and its neighbour, for its own.
        [b"\xa1\x01", PLAIN],
        [b"\xa1\x18\x63\x58\x20", PLAIN, PLAIN],
        [b"\xa1\x18\x63" + bytes((0x58, len(END) + len(PLAIN))), PLAIN, PLAIN + END + PLAIN],
        # Two in the place of one, and none in the place of another.
        [PLAIN + PLAIN, b""],
        [PLAIN + END + PLAIN, PLAIN],
        [PLAIN + END[:4], END[4:] + PLAIN],
        [b"\x82" + PLAIN, PLAIN],
        # What is no map, has a tag, a key twice or no end.
        [b"\x80", PLAIN],
        [cbor2.dumps([1]), PLAIN],
        [b"\xa1\x01\xc0\x08", PLAIN],
        [b"\xa2\x01\x08\x01\x09", PLAIN],
        [b"\xbf\x01\x08\xff", PLAIN],
        # What no report can hold, is too long, or is not CBOR.
        [cbor2.dumps({8: 101}), PLAIN],
        [cbor2.dumps({0: 3}), PLAIN],
        [cbor2.dumps({99: bytes(MAX_FRAME_BYTES)}), PLAIN],
        [b"{}", PLAIN],
        [b"", PLAIN],
    ],
)
def test_one_that_is_amiss_sends_all_the_long_way(some: list[bytes]) -> None:
    for order in (some, some[::-1]):
        assert decode_reports(order) is None
        assert decode_reports([PLAIN, *order, PLAIN]) is None


def test_the_mark_inside_of_a_well_formed_frame_is_content() -> None:
    frame = cbor2.dumps({1: cbor._END_VALUE, 0: 7, 2: 1})
    # Together it cannot be told from the mark itself; alone it can.
    assert decode_reports([frame, PLAIN]) is None
    assert decode_report(frame).seq == cbor._END_VALUE


def test_true_is_not_one_and_unknown_keys_are_left_out() -> None:
    frame = cbor2.dumps({True: 9, 8: 50, 99: [1]})
    assert decode_reports([frame, frame]) == [Report(battery_pct=50)] * 2
