"""A peeked label is the label of the decoded report."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_sim.peek import Label, label_of
from firmware_protocol import codec
from firmware_protocol.codec import Encoding
from firmware_protocol.errors import MalformedFrame
from firmware_protocol.messages import Fix, Report, Slot

uints = st.integers(0, 2**63 - 1)
reports = st.builds(
    Report,
    boot=uints,
    seq=uints,
    elapsed_ms=st.integers(-(2**63), 2**63 - 1),
    reported_at_ms=st.none() | st.integers(-(2**63), 2**63 - 1),
    keep=st.booleans(),
    fix=st.none() | st.just(Fix(13_000_000, 1_038_000_000, 4.5, 900)),
    slots=st.just(()) | st.just((Slot(1, unit_id="PB1", charge_pct=80),)),
    battery_pct=st.none() | st.integers(0, 100),
)


@given(reports, st.sampled_from(Encoding))
def test_the_label_is_that_of_the_report(report: Report, encoding: Encoding) -> None:
    frame = codec.encode_report(report, encoding=encoding)
    assert label_of(frame) == Label(report.boot, report.seq or 0, report.keep)


def test_a_map_in_another_order_is_decoded_whole() -> None:
    frame = bytes.fromhex("a3010702030005")
    assert label_of(frame) == Label(5, 7, False)


def test_what_is_no_report_is_refused() -> None:
    with pytest.raises(MalformedFrame):
        label_of(b"\x00\x01")
