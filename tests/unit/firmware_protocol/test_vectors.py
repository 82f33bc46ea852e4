"""The golden vectors: what is on disk is what is decoded, encoded and refused."""

import json
from typing import Any

import msgspec
import pytest

from firmware_protocol.codec import Encoding, encoding_of
from firmware_protocol.errors import MalformedFrame
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


def test_all_kinds_of_message_are_covered_in_both_encodings() -> None:
    seen = {(v["message"], encoding_of(bytes.fromhex(v["hex"]))) for v in load("valid_frames.json")}
    assert seen == {(message, encoding) for message in regenerate.DECODERS for encoding in Encoding}


def test_names_are_unique_and_nothing_on_disk_is_stale() -> None:
    names = [v["name"] for file in ("valid_frames.json", "malformed_frames.json") for v in load(file)]
    assert len(names) == len(set(names))
    for name, text in regenerate.vector_files().items():
        assert (regenerate.FOLDER / name).read_text() == text, f"python -m tests.vectors.regenerate ({name})"
