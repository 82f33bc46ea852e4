"""The place of a fault is found whenever there is one: a second reader agrees with the first."""

import cbor2
from hypothesis import example, given
from hypothesis import strategies as st

from firmware_protocol.cbor import REPORT_KEYS, read_fields
from firmware_protocol.cbor_faults import MAX_ITEMS, locate_fault
from firmware_protocol.errors import MalformedFrame

keys = st.integers(-(2**64), 2**64 - 1) | st.text(max_size=3)
values = st.recursive(
    st.integers(-(2**64), 2**64 - 1) | st.text(max_size=5) | st.floats() | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)
maps = st.dictionaries(keys, values, max_size=5).map(cbor2.dumps)


def is_refused(frame: bytes) -> bool:
    try:
        read_fields(frame, REPORT_KEYS)
    except MalformedFrame:
        return True
    return False


@given(maps)
def test_sound_maps_have_no_fault(frame: bytes) -> None:
    assert is_refused(frame) == (locate_fault(frame) is not None)


@given(maps, st.data())
def test_every_cut_is_found_at_the_end(frame: bytes, data: st.DataObject) -> None:
    cut = frame[: data.draw(st.integers(1, len(frame)))]
    if cut != frame and not is_refused(frame):
        fault = locate_fault(cut)
        assert fault is not None
        assert fault.at == f"byte {len(cut)}"


@given(maps, st.data())
@example(bytes.fromhex("a10082"), None)
def test_a_changed_byte_is_accepted_by_both_or_refused_by_both(
    frame: bytes, data: st.DataObject | None
) -> None:
    if data is not None:
        at = data.draw(st.integers(1, max(1, len(frame) - 1)))
        frame = frame[:at] + bytes([data.draw(st.integers(0, 255))]) + frame[at + 1 :]
    fault = locate_fault(frame)
    if is_refused(frame):
        # Python takes true and 1, or 1.0 and 1, for the same key: refused without a place.
        assert fault is not None or any(byte >= 0xE0 for byte in frame)
    else:
        assert fault is None


def test_a_fault_is_looked_for_in_so_many_items_only() -> None:
    many = b"\xa2\x18\x63\x99\x3f\x00" + b"\x00" * 0x3F00 + b"\x18\x64\xff"
    fault = locate_fault(many)
    assert fault is not None
    # The map, its key, the array, then the array's items of one byte each.
    assert fault.at == f"byte {6 + MAX_ITEMS - 3}"
    assert is_refused(many)
