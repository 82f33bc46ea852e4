"""The page for firmware engineers says what the code does: keys, limits, sizes, shards, examples."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from firmware_protocol import cbor, codec, limits, topics
from firmware_protocol.messages import Alarm, Bolt, DeviceId
from tests.vectors import regenerate, samples

PAGE = (Path(__file__).parents[3] / "docs" / "wire.md").read_text()
TABLES = {
    "## Report": cbor.REPORT_KEYS,
    "**Fix**": cbor.FIX_KEYS,
    "**Lock**": cbor.LOCK_KEYS,
    "**Slot**": cbor.SLOT_KEYS,
    "### Hello and welcome": cbor.HELLO_KEYS,
    "The gateway answers with a welcome": cbor.WELCOME_KEYS,
    "### Kept reports and receipts": cbor.RECEIPT_KEYS,
}


def cells(line: str) -> list[str]:
    return [cell.strip().strip("`") for cell in line.strip("|").split("|")]


def first_table(heading: str) -> list[list[str]]:
    """The rows of the first table after the heading."""
    after = PAGE[PAGE.index("\n" + heading) :]
    lines = after[after.index("\n|---") + 1 :].splitlines()[1:]
    return [
        cells(line) for line in lines[: next(at for at, line in enumerate(lines) if not line.startswith("|"))]
    ]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("heading", TABLES)
def test_names_and_keys_are_those_of_the_codec(heading: str) -> None:
    assert {row[0]: int(row[1]) for row in first_table(heading)} == TABLES[heading].keys


def test_sizes_are_those_the_codec_yields() -> None:
    rows = first_table("The same report in bytes:")
    assert {"bike", "cabinet_12_slots"} <= {row[0] for row in rows}
    for name, as_json, as_cbor in rows:
        report = samples.REPORTS[name][1]
        sizes = [len(codec.encode_report(report, encoding=encoding)) for encoding in codec.Encoding]
        assert [int(as_json), int(as_cbor)] == sizes, name


def test_shards_are_those_of_the_vectors() -> None:
    vectors = json.loads((regenerate.FOLDER / "topics.json").read_text())["devices"]
    expected = [[vector["device_id"], vector["crc32"], vector["shard"]] for vector in vectors]
    assert first_table("**SHARD**") == expected


def test_channels_are_those_of_the_topics() -> None:
    rows = first_table("## Topics")
    assert {row[0] for row in rows} == {str(channel) for channel in topics.Channel}
    upward = {row[0] for row in rows if row[1] == "device to gateway"}
    assert upward == {str(channel) for channel in topics.UPWARD}


def test_limits_are_those_of_the_code() -> None:
    said = {
        f"A frame is at most {limits.MAX_FRAME_BYTES} bytes",
        f"a full cabinet of {limits.MAX_SLOTS} slots",
        f"{limits.MAX_JSON_BRACKETS} objects and arrays",
        f"nested at most {limits.MAX_CBOR_DEPTH} deep",
        f"1 to {limits.MAX_RECEIPT_STAMPS} full pairs",
        f"The ring holds at least {limits.KEPT_RING_SIZE}",
        f"0 to {limits.MAX_ACCURACY_M:.0f}:",
        f"at most {limits.MAX_CODE_CHARS} long; at most {limits.MAX_FAULTS}:",
        f"at most {limits.MAX_TEXT_CHARS}: a version",
        f"at most {limits.MAX_ID_CHARS}: IMEI",
        f"at most {limits.MAX_FIX_AGE_MS // 86_400_000} days",
    }
    assert {text for text in said if text not in PAGE} == set()


def test_enumerations_are_those_of_the_code() -> None:
    for number_and_name in [f"{alarm.value} {alarm.name.lower().replace('_', ' ')}" for alarm in Alarm]:
        assert number_and_name in PAGE
    for number_and_name in [f"{bolt.value} {bolt.name.lower()}" for bolt in Bolt]:
        assert number_and_name in PAGE


def test_every_json_example_is_a_frame_and_the_hex_is_the_same_report() -> None:
    bike, hello, welcome, receipt = (block.strip().encode() for block in blocks("json"))
    assert codec.decode_report(bike) == samples.BIKE
    assert bytes.fromhex("".join(blocks("text")[0].split())) == codec.encode_report(
        samples.BIKE, encoding=codec.Encoding.CBOR
    )
    assert codec.decode_hello(hello) == samples.HELLOS["hello"][1]
    assert codec.decode_welcome(welcome) == samples.WELCOMES["welcome"][1]
    assert codec.decode_receipt(receipt) == samples.RECEIPTS["receipt"][1]


def test_the_one_line_device_publishes_a_report_on_its_own_topic() -> None:
    command = blocks("sh")[0]
    frame = re.search(r"-m '(.*)'", command)
    topic = re.search(r"-t (\S+)", command)
    assert frame
    assert topic
    assert codec.decode_report(frame[1].encode()).lock is not None
    assert topic[1] == topics.report_topic(DeviceId("bike-000123"))
    assert " -r" not in command


def test_the_paho_device_is_a_program_of_a_dozen_lines_that_publishes_reports() -> None:
    (program,) = blocks("python")
    compile(program, "wire.md", "exec")
    assert len(program.splitlines()) <= 16
    literal = re.search(r"report = (\{.*?\}\})", program, re.DOTALL)
    assert literal
    report = codec.decode_report(msgspec.json.encode(eval(literal[1], {"now_ms": 1_790_000_000_000})))
    assert report.boot == 0
    assert report.fix is not None
    assert topics.report_topic(DeviceId("bike-000123")) in program
