"""A client's frame is understood or refused, and nothing else."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.live.frames import (
    MAX_DETAIL_CHARS,
    BadFrame,
    Hello,
    Unwatch,
    Watch,
    decode,
    encode_changes,
    encode_snapshot,
    printable,
)
from api.live.outbox import Parcel
from api.live.traits import MapFilter
from geo.point import E7
from tests.unit.api.live.entries import entry

GOOD = b'{"type":"watch","id":1,"box":[121.4,31.2,121.5,31.3],"zoom":14,"kinds":["bike"]}'

json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4)),
)


@given(st.one_of(st.binary(), json_values.map(msgspec.json.encode)))
def test_anything_at_all_is_a_frame_or_a_named_fault(frame: bytes) -> None:
    try:
        assert isinstance(decode(frame), Hello | Watch | Unwatch)
    except BadFrame as error:
        fault = str(error)
    else:
        fault = ""
    assert fault == "" or fault.isprintable()
    assert len(fault) <= MAX_DETAIL_CHARS


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_a_damaged_frame_is_a_frame_or_a_named_fault(at: int, byte: int) -> None:
    damaged = GOOD[:at] + bytes([byte]) + GOOD[at + 1 :]
    try:
        said = decode(damaged)
    except BadFrame:
        return
    assert isinstance(said, Watch)


def test_a_watch_says_where_and_what() -> None:
    watch = decode(GOOD)
    assert isinstance(watch, Watch)
    assert watch.area() == (1_214_000_000, 312_000_000, 1_215_000_000, 313_000_000)
    assert watch.wanted(7) == MapFilter(kinds=2, only_available=True, min_battery_pct=0, operator_id=7)
    assert watch.area().east_e7 == round(121.5 * E7)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"{}",
        b"[]",
        b'{"type":"other"}',
        b'{"type":"watch"}',
        b'{"type":"watch","id":-1,"box":[0,0,1,1]}',
        b'{"type":"watch","id":1,"box":[0,0,1]}',
        b'{"type":"watch","id":1,"box":[0,0,1,1],"kinds":["ship"]}',
        b'{"type":"watch","id":1,"box":[0,0,1e9,1]}',
        b"[" * 5_000,
        b"\xff\xfe",
    ],
)
def test_what_is_no_frame_is_refused(frame: bytes) -> None:
    with pytest.raises(BadFrame):
        decode(frame)


def test_fields_that_a_later_version_adds_are_ignored() -> None:
    assert isinstance(decode(GOOD[:-1] + b',"crs":"wgs84"}'), Watch)


def test_frames_carry_devices_the_count_and_what_vanished() -> None:
    parcel = Parcel([entry(1)], [entry(2)], ["p3"])
    snapshot = msgspec.json.decode(encode_snapshot(5, parcel, cursor="c", count=1, more=False, stale=False))
    changes = msgspec.json.decode(encode_changes(5, parcel, cursor="c", count=1, more=True, stale=True))
    assert (snapshot["type"], snapshot["devices"][0]["id"], snapshot["more"]) == ("snapshot", "p1", False)
    assert (changes["type"], changes["moved"][0]["id"], changes["vanished"]) == ("changes", "p2", ["p3"])
    assert (changes["id"], changes["cursor"], changes["count"], changes["stale"]) == (5, "c", 1, True)


@given(st.text())
def test_what_is_printed_is_printable_and_short(text: str) -> None:
    assert printable(text).isprintable()
    assert len(printable(text)) <= MAX_DETAIL_CHARS
