"""The golden vectors: what is on disk is what is decoded, encoded and refused."""

import json
from typing import Any

import msgspec
import pytest

from firmware_protocol.codec import Encoding, encoding_of
from firmware_protocol.commands import CommandKind
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.errors import MalformedFrame
from firmware_protocol.verdict import Verdict
from tests.unit.firmware_protocol.independent_cose import opened_elsewhere
from tests.vectors import regenerate


def load(name: str) -> list[dict[str, Any]]:
    vectors: list[dict[str, Any]] = json.loads((regenerate.FOLDER / name).read_text())
    return vectors


def name_of(vector: dict[str, Any]) -> str:
    return str(vector["name"])


@pytest.mark.parametrize("vector", load("valid_frames.json"), ids=name_of)
def test_valid_vectors_decode_to_what_they_say(vector: dict[str, Any]) -> None:
    frame = bytes.fromhex(vector["hex"])
    message = regenerate.DECODERS[vector["message"]](frame)
    expected = msgspec.convert(vector["decoded"], type(message))
    assert message == expected
    assert vector["why"]
    if vector["written_by_us"]:
        assert regenerate.ENCODERS[vector["message"]](expected, encoding=encoding_of(frame)) == frame


@pytest.mark.parametrize("vector", load("malformed_frames.json"), ids=name_of)
def test_malformed_vectors_are_refused_where_and_why_they_say(vector: dict[str, Any]) -> None:
    with pytest.raises(MalformedFrame) as caught:
        regenerate.DECODERS[vector["message"]](bytes.fromhex(vector["hex"]))
    assert (caught.value.reason, caught.value.at) == (vector["reason"], vector["at"])


def test_signed_vectors_are_taken_and_refused_as_they_say() -> None:
    vectors = json.loads((regenerate.FOLDER / "signed_frames.json").read_text())
    assert {vector["message"] for vector in vectors["valid"]} == {"command", "welcome", "ack"}
    assert {vector["decoded"].get("kind") for vector in vectors["valid"]} >= set(CommandKind)
    verdicts = {held["verdict"] for vector in vectors["valid"] for held in vector.get("judged", [])}
    assert verdicts == set(Verdict)
    for vector in vectors["valid"]:
        key = DeviceKey(vector["keys"][0], bytes.fromhex(vectors["keys"][str(vector["keys"][0])]))
        payload = opened_elsewhere(bytes.fromhex(vector["hex"]), key, vector["topic"].encode())
        assert payload == bytes.fromhex(vector["payload"]) or len(vector["keys"]) > 1
    assert {vector["refused"] for vector in vectors["refused"]} == {"malformed", "bad_seal"}
    names = [vector["name"] for half in ("valid", "refused") for vector in vectors[half]]
    assert len(names) == len(set(names))


def test_all_kinds_of_message_are_covered_in_both_encodings() -> None:
    seen = {(v["message"], encoding_of(bytes.fromhex(v["hex"]))) for v in load("valid_frames.json")}
    assert seen == {(message, encoding) for message in regenerate.DECODERS for encoding in Encoding}


def test_names_are_unique_and_nothing_on_disk_is_stale() -> None:
    names = [v["name"] for file in ("valid_frames.json", "malformed_frames.json") for v in load(file)]
    assert len(names) == len(set(names))
    for name, text in regenerate.vector_files().items():
        assert (regenerate.FOLDER / name).read_text() == text, f"python -m tests.vectors.regenerate ({name})"
