"""The AsyncAPI file is whole, and says what topics, codec and messages say."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml

from firmware_protocol import cbor, messages, topics
from tests.vectors import regenerate

SPEC: dict[str, Any] = yaml.safe_load((Path(__file__).parents[3] / "docs" / "asyncapi.yaml").read_text())
KEYS = {
    "Report": cbor.REPORT_KEYS,
    "Fix": cbor.FIX_KEYS,
    "Lock": cbor.LOCK_KEYS,
    "Slot": cbor.SLOT_KEYS,
    "Hello": cbor.HELLO_KEYS,
    "Welcome": cbor.WELCOME_KEYS,
    "Receipt": cbor.RECEIPT_KEYS,
}
EXAMPLES = [
    (name, example["name"], example["payload"])
    for name, message in SPEC["components"]["messages"].items()
    for example in message["examples"]
    if "contentType" not in message
]


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for item in node.values():
            yield from references(item)
    elif isinstance(node, list):
        for item in node:
            yield from references(item)


def resolved(reference: str) -> Any:
    assert reference.startswith("#/"), "only within the file"
    node: Any = SPEC
    for part in reference[2:].split("/"):
        node = node[part]
    return node


def schema_of(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}", "components": SPEC["components"]}


def test_every_reference_resolves() -> None:
    found = list(references(SPEC))
    assert len(found) > 20
    for reference in found:
        assert resolved(reference) is not None


def test_it_is_asyncapi_3_with_what_that_needs() -> None:
    assert SPEC["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= set(SPEC["info"])
    assert all({"host", "protocol"} <= set(server) for server in SPEC["servers"].values())
    for operation in SPEC["operations"].values():
        assert operation["action"] in ("send", "receive")
        channel = operation["channel"]["$ref"]
        assert all(message["$ref"].startswith(channel + "/messages/") for message in operation["messages"])


def test_every_channel_of_the_topic_grammar_is_there() -> None:
    addresses = {name: channel["address"] for name, channel in SPEC["channels"].items()}
    assert addresses == {
        str(channel): f"{topics.PREFIX}/{{shard}}/{{device_id}}/{channel}" for channel in topics.Channel
    }
    for channel in SPEC["channels"].values():
        assert set(channel["parameters"]) == {"shard", "device_id"}
    assert SPEC["components"]["parameters"]["shard"]["enum"] == [f"{n:02x}" for n in range(topics.SHARDS)]


def test_a_device_sends_upward_and_receives_downward() -> None:
    for operation in SPEC["operations"].values():
        channel = topics.Channel(operation["channel"]["$ref"].rsplit("/", 1)[1])
        assert (operation["action"] == "send") == (channel in topics.UPWARD)


@pytest.mark.parametrize("name", KEYS)
def test_schemas_have_the_fields_keys_and_needs_of_the_messages(name: str) -> None:
    schema = SPEC["components"]["schemas"][name]
    kind: type[msgspec.Struct] = getattr(messages, name)
    keys = {field: part["x-cbor-key"] for field, part in schema["properties"].items()}
    assert keys == KEYS[name].keys
    needed = {field.name for field in msgspec.structs.fields(kind) if field.required}
    assert set(schema.get("required", ())) == needed


@pytest.mark.parametrize(("name", "title", "payload"), EXAMPLES)
def test_examples_decode_and_fit_their_schema(name: str, title: str, payload: dict[str, Any]) -> None:
    assert title
    decoded = regenerate.DECODERS[name](msgspec.json.encode(payload))
    assert type(decoded).__name__ == name.capitalize()
    jsonschema.validate(payload, schema_of(name.capitalize()))


def test_samples_fit_the_schemas() -> None:
    for name, named in regenerate.SAMPLES.items():
        validator = jsonschema.Draft202012Validator(schema_of(name.capitalize()))
        for _, value in named.values():
            validator.validate(msgspec.json.decode(msgspec.json.encode(value)))
