"""Reports, hellos, receipts and topics: what latchkey.h writes and reads is what the codec writes and reads."""

import json
import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given
from msgspec.structs import replace

from firmware_protocol import codec
from firmware_protocol.codec import Encoding
from firmware_protocol.errors import MalformedFrame
from firmware_protocol.messages import Fix, Hello, Receipt, Report, Slot
from tests.unit.firmware_protocol import strategies
from tests.unit.firmware_protocol.c.compiled import DeviceInC, hello_tokens, report_tokens
from tests.vectors import regenerate, samples

OK, NO_ROOM, BAD_VALUE, MALFORMED = range(4)


def vectors(message: str) -> list[Any]:
    """Those in CBOR."""
    read = json.loads((regenerate.FOLDER / "valid_frames.json").read_text())
    chosen = [v for v in read if v["message"] == message and v["hex"][0] in "ab"]
    return [pytest.param(vector, id=vector["name"]) for vector in chosen]


def single(report: Report) -> Report:
    """With the accuracy that a 32-bit float can hold, as in C."""
    if report.fix is None:
        return report
    (accuracy_m,) = struct.unpack("f", struct.pack("f", report.fix.accuracy_m))
    fix = report.fix
    if not accuracy_m:
        # The codec leaves out only the 0.0 that is the default itself.
        return replace(report, fix=Fix(fix.lat_e7, fix.lon_e7, age_ms=fix.age_ms))
    return replace(report, fix=replace(fix, accuracy_m=accuracy_m))


def read_receipt(device: DeviceInC, frame: bytes) -> Receipt | None:
    status, *stamps = device.ask("receipt", f"x{frame.hex()}")
    if int(status):
        assert int(status) == MALFORMED
        assert not stamps
        return None
    return msgspec.convert({"stamps": [tuple(map(int, pair.split(":"))) for pair in stamps]}, Receipt)


@pytest.mark.parametrize("vector", vectors("report"))
def test_golden_reports_are_written_byte_by_byte(device: DeviceInC, vector: dict[str, Any]) -> None:
    report = msgspec.convert(vector["decoded"], Report)
    ours = codec.encode_report(report, encoding=Encoding.CBOR)
    assert device.written("report", report_tokens(report)) == (OK, ours)
    assert not vector["written_by_us"] or ours.hex() == vector["hex"]


@pytest.mark.parametrize("vector", vectors("hello"))
def test_golden_hellos_are_written_byte_by_byte(device: DeviceInC, vector: dict[str, Any]) -> None:
    hello = msgspec.convert(vector["decoded"], Hello)
    ours = codec.encode_hello(hello, encoding=Encoding.CBOR)
    assert device.written("hello", hello_tokens(hello)) == (OK, ours)
    assert not vector["written_by_us"] or ours.hex() == vector["hex"]


@given(report=strategies.reports)
def test_any_report_is_written_as_the_codec_writes_it(device: DeviceInC, report: Report) -> None:
    report = single(report)
    status, frame = device.written("report", report_tokens(report))
    assert status == OK
    assert frame == codec.encode_report(report, encoding=Encoding.CBOR)
    assert codec.decode_report(frame) == report


@given(hello=strategies.hellos)
def test_any_hello_is_written_as_the_codec_writes_it(device: DeviceInC, hello: Hello) -> None:
    assert device.written("hello", hello_tokens(hello)) == (
        OK,
        codec.encode_hello(hello, encoding=Encoding.CBOR),
    )


@pytest.mark.parametrize("room", range(len(codec.encode_report(samples.BIKE, encoding=Encoding.CBOR))))
def test_a_frame_that_does_not_fit_is_not_begun(device: DeviceInC, room: int) -> None:
    assert device.written("report", report_tokens(samples.BIKE), room=room) == (NO_ROOM, b"")


def test_a_frame_fits_in_exactly_its_length(device: DeviceInC) -> None:
    frame = codec.encode_report(samples.CABINET, encoding=Encoding.CBOR)
    assert device.written("report", report_tokens(samples.CABINET), room=len(frame)) == (OK, frame)


def test_the_largest_cabinet_fits_and_no_frame_is_longer_than_the_wire_allows(device: DeviceInC) -> None:
    full = Report(slots=tuple(Slot(number=n, unit_id="u" * 32, faults=("f" * 24,) * 4) for n in range(1, 97)))
    status, frame = device.written("report", report_tokens(full))
    assert (status, codec.decode_report(frame)) == (OK, full)
    longer = Report(slots=tuple(Slot(number=n, faults=("f" * 24,) * 16) for n in range(1, 97)))
    assert device.written("report", report_tokens(longer), room=60_000) == (NO_ROOM, b"")


def text(value: str) -> str:
    return value.encode().hex()


REFUSED = {
    "boot_without_seq": "boot=1 elapsed_ms=1",
    "boot_without_a_time": "boot=1 seq=1",
    "boot_of_64_bits": f"boot={2**63} seq=1 elapsed_ms=1",
    "seq_of_64_bits": f"seq={2**63}",
    "kept_lost_of_64_bits": f"kept_lost={2**64 - 1}",
    "battery_over_100": "battery_pct=101",
    "charging_3": "charging=3",
    "signal_above_0": "signal_dbm=1",
    "signal_below_150": "signal_dbm=-151",
    "latitude": "lat_e7=900000001",
    "longitude": "lon_e7=-1800000001",
    "accuracy_too_bad": "accuracy_m=100000.01",
    "accuracy_negative": "accuracy_m=-0.5",
    "accuracy_not_a_number": "accuracy_m=nan",
    "accuracy_endless": "accuracy_m=inf",
    "age": f"age_ms={30 * 86_400_000 + 1}",
    "age_negative": "age_ms=-1",
    "bolt_unknown": "lock_bolt=0",
    "bolt_4": "lock_bolt=4",
    "lock_fence_of_64_bits": f"lock_bolt=1 lock_last_fence={2**63}",
    "slot_0": "slot=0",
    "slot_97": "slot=97",
    "slot_twice": "slot=9 slot=10 slot=9",
    "slots_97": " ".join(f"slot={number}" for number in range(1, 98)),
    "slot_bolt_4": "slot=1 slot_bolt=4",
    "slot_openings_of_64_bits": f"slot=1 slot_openings={2**63}",
    "unit_id_empty": "slot=1 slot_unit_id=",
    "unit_id_long": f"slot=1 slot_unit_id={text('u' * 33)}",
    "unit_id_with_space": f"slot=1 slot_unit_id={text('a b')}",
    "charge_over_100": "slot=1 slot_charge_pct=101",
    "slot_faults_17": "slot=1" + f" slot_fault={text('f')}" * 17,
    "fault_with_capital": f"fault={text('Motor')}",
    "fault_empty": "fault=",
    "fault_long": f"fault={text('f' * 25)}",
    "faults_17": f" fault={text('f')}" * 17,
    "alarm_0": "alarm=0",
    "alarm_7": "alarm=7",
    "alarms_17": "alarm=1 " * 17,
    "firmware_long": f"firmware={text('f' * 49)}",
    "firmware_with_a_line": f"firmware={text(chr(10))}",
    "firmware_not_ascii": f"firmware={text('é')}",
}


@pytest.mark.parametrize("tokens", REFUSED.values(), ids=REFUSED)
def test_what_the_gateway_would_refuse_is_not_written(device: DeviceInC, tokens: str) -> None:
    assert device.written("report", tokens.split()) == (BAD_VALUE, b"")


@pytest.mark.parametrize(
    "hello", [Hello(1, ""), Hello(1, "a b"), Hello(1, "m" * 33), Hello(1, "m", "f" * 49)]
)
def test_a_hello_that_the_gateway_would_refuse_is_not_written(device: DeviceInC, hello: Hello) -> None:
    assert device.written("hello", hello_tokens(hello)) == (BAD_VALUE, b"")


@pytest.mark.parametrize("vector", vectors("receipt"))
def test_golden_receipts_are_read(device: DeviceInC, vector: dict[str, Any]) -> None:
    assert read_receipt(device, bytes.fromhex(vector["hex"])) == msgspec.convert(vector["decoded"], Receipt)


@given(receipt=strategies.receipts)
def test_any_receipt_is_read_and_its_every_beginning_refused(device: DeviceInC, receipt: Receipt) -> None:
    frame = codec.encode_receipt(receipt, encoding=Encoding.CBOR)
    assert read_receipt(device, frame) == receipt
    assert read_receipt(device, frame + b"\x00") is None
    for length in {0, 1, 2, 3, len(frame) // 2, len(frame) - 1}:
        assert read_receipt(device, frame[:length]) is None


@pytest.mark.parametrize(
    ("hex_frame", "taken"),
    [
        ("a2008182010207f5", True),  # a later key is stepped over
        ("a20081820102078142f6f6", True),
        ("a200818201020081820102", False),  # twice
        ("a207f50081820102", False),  # does not rise
        ("a1008182190001 02".replace(" ", ""), False),  # not the shortest form
        ("a1009f820102ff", False),  # no definite length
        ("a10080", False),  # no stamp
        ("a1008183010203", False),  # three numbers
        ("a100818220 02".replace(" ", ""), False),  # a negative boot
        ("a20081820102 07c100".replace(" ", ""), False),  # a tag
        ("a1079bffffffffffffffff", False),  # more items than any frame has
        ("81820102", False),  # not a map
        ("7b7d", False),
    ],
)
def test_receipts_in_one_form_only(device: DeviceInC, hex_frame: str, taken: bool) -> None:
    assert (read_receipt(device, bytes.fromhex(hex_frame)) is not None) == taken


def test_whatever_c_reads_as_a_receipt_the_codec_reads_the_same(device: DeviceInC) -> None:
    frame = codec.encode_receipt(samples.RECEIPTS["receipt"][1], encoding=Encoding.CBOR)
    for at in range(len(frame)):
        for bit in range(8):
            damaged = frame[:at] + bytes((frame[at] ^ 1 << bit,)) + frame[at + 1 :]
            read = read_receipt(device, damaged)
            if read is not None:
                assert codec.decode_receipt(damaged) == read
            else:
                # The codec allows more forms of the same numbers than the gateway writes.
                try:
                    again = codec.encode_receipt(codec.decode_receipt(damaged), encoding=Encoding.CBOR)
                except MalformedFrame:
                    continue
                assert again != damaged


TOPICS = json.loads((regenerate.FOLDER / "topics.json").read_text())


@pytest.mark.parametrize("vector", TOPICS["devices"], ids=lambda vector: str(vector["device_id"]))
def test_shards_and_topics_are_those_of_the_vectors(device: DeviceInC, vector: dict[str, str]) -> None:
    status, topic, crc32 = device.ask("topic", f"x{vector['device_id'].encode().hex()}", "report")
    assert (int(status), topic, crc32) == (OK, vector["report_topic"], vector["crc32"])
    assert vector["report_topic"].split("/")[2] == vector["shard"]


@pytest.mark.parametrize("device_id", ["", "a" * 33, "lk-gw-07", "-a", ".a", "a/b", "a+", "a b", "é", "a#"])
def test_what_is_no_device_id_has_no_topic(device: DeviceInC, device_id: str) -> None:
    assert int(device.ask("topic", f"x{device_id.encode().hex()}", "report")[0]) == BAD_VALUE
