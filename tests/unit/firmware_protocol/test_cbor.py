"""Integer keys, shortest forms, and only plain CBOR."""

import cbor2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_protocol import cbor
from firmware_protocol.errors import MalformedFrame
from firmware_protocol.messages import Fix, Hello, Lock, Receipt, Report, Slot, Welcome

TABLES = [
    (cbor.FIX_KEYS, Fix),
    (cbor.LOCK_KEYS, Lock),
    (cbor.SLOT_KEYS, Slot),
    (cbor.REPORT_KEYS, Report),
    (cbor.HELLO_KEYS, Hello),
    (cbor.WELCOME_KEYS, Welcome),
    (cbor.RECEIPT_KEYS, Receipt),
]


@pytest.mark.parametrize(("keys", "kind"), TABLES, ids=lambda item: getattr(item, "__name__", ""))
def test_every_field_has_a_one_byte_key(keys: cbor.Keys, kind: type[msgspec.Struct]) -> None:
    assert set(keys.keys) == set(kind.__struct_fields__)
    assert max(keys.names) < 24


def test_keys_are_for_ever() -> None:
    assert cbor.REPORT_KEYS.keys == {
        "boot": 0,
        "seq": 1,
        "elapsed_ms": 2,
        "reported_at_ms": 3,
        "keep": 4,
        "fix": 5,
        "lock": 6,
        "slots": 7,
        "battery_pct": 8,
        "charging": 9,
        "moving": 10,
        "faults": 11,
        "alarms": 12,
        "signal_dbm": 13,
        "firmware": 14,
        "kept_lost": 15,
    }


@given(st.integers(-(2**64), 2**64 - 1))
def test_integers_are_written_in_their_shortest_form(value: int) -> None:
    assert cbor.write_fields({"seq": value}, cbor.REPORT_KEYS) == cbor2.dumps({1: value}, canonical=True)


@given(st.floats(-1e300, 1e300))
def test_floats_survive_in_as_few_bytes_as_they_need(value: float) -> None:
    written = cbor.write_fields({"accuracy_m": value}, cbor.FIX_KEYS)
    read = cbor2.loads(written)[2]
    assert read == value
    assert len(written) <= max(len(cbor2.dumps({2: value}, canonical=True)), 11)


def test_unknown_keys_are_left_out_and_true_is_not_one() -> None:
    frame = cbor2.dumps({True: 9, "seq": 8, 99: [1], 8: 50, 5: {0: 1, 77: 2}})
    assert cbor.read_fields(frame, cbor.REPORT_KEYS) == {"battery_pct": 50, "fix": {"lat_e7": 1}}


def test_nothing_may_follow_the_map_not_even_the_mark_the_reader_puts_there() -> None:
    frame = cbor2.dumps({1: 8})
    for rest in (b"\x00", cbor._END, cbor._END * 2, cbor._END[:1], b"\x1b" + cbor._END[:8], b"\xa1\x01\x08"):
        with pytest.raises(MalformedFrame) as caught:
            cbor.read_fields(frame + rest, cbor.REPORT_KEYS)
        assert (caught.value.reason, caught.value.at) == ("CBOR: bytes after the map", f"byte {len(frame)}")


def test_the_mark_may_stand_inside_a_map_but_not_complete_one() -> None:
    frame = cbor2.dumps({1: cbor._END_VALUE, 99: cbor._END.decode("latin1")})
    assert cbor.read_fields(frame, cbor.REPORT_KEYS) == {"seq": cbor._END_VALUE}
    for cut in range(1, len(frame)):
        with pytest.raises(MalformedFrame):
            cbor.read_fields(frame[:cut], cbor.REPORT_KEYS)
    with pytest.raises(MalformedFrame):
        cbor.read_fields(b"\xa1\x01", cbor.REPORT_KEYS)


def test_depth_is_counted_from_the_map() -> None:
    def nested(depth: int) -> bytes:
        return b"\xa1\x18\x64" + b"\x81" * (depth - 1) + b"\x00"

    assert cbor.read_fields(nested(8), cbor.REPORT_KEYS) == {}
    with pytest.raises(MalformedFrame, match="nested deeper"):
        cbor.read_fields(nested(9), cbor.REPORT_KEYS)


@pytest.mark.parametrize("tag", [*range(300), 1004, 43000, 55799, 2**32, 2**64 - 1])
def test_no_tag_is_acted_on(tag: int) -> None:
    head = cbor2.dumps(cbor2.CBORTag(tag, 0))[:-1]
    for content in (b"\x00", b"\x61a", b"\x41a", b"\x80", b"\x82\x01\x02", b"\xa0", b"\xfb" + bytes(8)):
        with pytest.raises(MalformedFrame) as caught:
            cbor.read_fields(b"\xa1\x18\x64" + head + content, cbor.REPORT_KEYS)
        assert (caught.value.reason, caught.value.at) == ("CBOR: tags are not part of this wire", "byte 3")


def test_what_has_no_place_on_the_wire_cannot_be_written() -> None:
    for value in (b"bytes", None, {"a": 1}, object()):
        with pytest.raises(TypeError):
            cbor.write_fields({"seq": value}, cbor.REPORT_KEYS)
    with pytest.raises(KeyError):
        cbor.write_fields({"colour": 1}, cbor.REPORT_KEYS)
