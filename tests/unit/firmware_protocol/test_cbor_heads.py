"""Heads are written in their shortest form, and read in no other."""

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_protocol.cbor_heads import TEXT, UINT, read_head, write_head
from firmware_protocol.errors import MalformedFrame


@given(
    st.integers(0, 7), st.integers(0, 2**64 - 1) | st.sampled_from([23, 24, 255, 256, 65535, 65536, 2**32])
)
def test_a_head_is_read_as_it_was_written(major: int, argument: int) -> None:
    head = write_head(major, argument)
    assert read_head(b"x" + head + b"y", 1) == (major, argument, 1 + len(head))
    if major == UINT:
        assert head == cbor2.dumps(argument)
    for cut in range(len(head)):
        with pytest.raises(MalformedFrame):
            read_head(head[:cut], 0)


@pytest.mark.parametrize("longer", ["1817", "1900ff", "1a0000ffff", "1b00000000ffffffff"])
def test_a_longer_form_is_malformed(longer: str) -> None:
    with pytest.raises(MalformedFrame, match="shortest"):
        read_head(bytes.fromhex(longer), 0)


@pytest.mark.parametrize("low", [28, 29, 30, 31])
def test_indefinite_and_reserved_lengths_are_malformed(low: int) -> None:
    with pytest.raises(MalformedFrame):
        read_head(bytes((TEXT << 5 | low,)) + bytes(9), 0)


def test_65_bits_cannot_be_written() -> None:
    with pytest.raises(ValueError):
        write_head(UINT, 2**64)
