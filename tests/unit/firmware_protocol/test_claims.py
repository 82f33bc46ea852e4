"""Claims have one form: what is read in it is written as the same bytes, and nothing else is read."""

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_protocol.claims import MAX_CLAIMS_DEPTH, Claim, read_claims, write_claims
from firmware_protocol.errors import MalformedFrame

numbers = st.integers(-(2**64), 2**64 - 1)
scalars = st.booleans() | numbers | st.text(max_size=30) | st.binary(max_size=300) | st.none()
values: st.SearchStrategy[Claim] = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(numbers | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)


def deep(value: Claim) -> int:
    if isinstance(value, dict):
        return 1 + max(map(deep, value.values()), default=0)
    return 1 + max(map(deep, value), default=0) if isinstance(value, list) else 0


@given(st.dictionaries(numbers, values, max_size=6))
def test_what_is_written_is_read_and_is_cbor_for_others_too(claims: dict[int, Claim]) -> None:
    payload = write_claims(claims)
    assert cbor2.loads(payload) == claims
    if deep(claims) > MAX_CLAIMS_DEPTH:
        with pytest.raises(MalformedFrame, match="nested"):
            read_claims(payload)
    else:
        assert read_claims(payload) == claims


@given(st.binary(max_size=40) | st.builds(lambda body: b"\xa1\x03" + body, st.binary(max_size=20)))
def test_any_bytes_are_claims_in_their_one_form_or_malformed(payload: bytes) -> None:
    try:
        claims = read_claims(payload)
    except MalformedFrame:
        return
    if all(type(key) is int for key in cbor2.loads(payload)):
        assert write_claims(claims) == payload


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ("", "ends"),
        ("80", "not a map"),
        ("a20301", "ends"),
        ("a1036361", "ends"),
        ("a1030101", "after the map"),
        ("a2030103" + "01", "rise"),
        ("a204010301", "rise"),
        ("bf0301ff", "indefinite"),
        ("a1031801", "shortest"),
        ("a103f94000", "float"),
        ("a103fb4000000000000000", "float"),
        ("a103c101", "tag"),
        ("a103f7", "constant"),
        ("a103f820", "constant"),
        ("a143030301", "integer nor text"),
        ("a10361ff", "UTF-8"),
        ("a103" + "81" * 4 + "00", "nested"),
        ("a1039b00000001000000" + "00", "ends"),
    ],
)
def test_other_forms_are_malformed(payload: str, reason: str) -> None:
    with pytest.raises(MalformedFrame, match=reason):
        read_claims(bytes.fromhex(payload))


def test_claims_by_name_are_left_out() -> None:
    assert read_claims(bytes.fromhex("a20301616102")) == {3: 1}
