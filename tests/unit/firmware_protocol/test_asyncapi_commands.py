"""The AsyncAPI file says of signed frames what the signatures say."""

import json
from typing import Any

import jsonschema
import msgspec
import pytest

from firmware_protocol import commands, limits, messages, signature
from tests.unit.firmware_protocol.test_asyncapi import SPEC, schema_of
from tests.vectors import regenerate

SIGNED: dict[str, tuple[type[msgspec.Struct], dict[str, int], int]] = {
    "Command": (commands.Command, dict(signature.COMMAND_CLAIMS), signature.AUDIENCE),
    "SignedWelcome": (messages.Welcome, dict(signature.WELCOME_CLAIMS), signature.AUDIENCE),
    "Ack": (commands.Ack, dict(signature.ACK_CLAIMS), signature.SUBJECT),
}
VECTORS: dict[str, Any] = json.loads((regenerate.FOLDER / "signed_frames.json").read_text())
SCHEMAS = {"command": "Command", "welcome": "SignedWelcome", "ack": "Ack"}


@pytest.mark.parametrize("name", SIGNED)
def test_schemas_have_the_claims_and_needs_of_the_messages(name: str) -> None:
    kind, claims, party = SIGNED[name]
    schema = SPEC["components"]["schemas"][name]
    assert {field: part["x-cwt-claim"] for field, part in schema["properties"].items()} == {
        **claims,
        "device_id": party,
    }
    needed = {field.name for field in msgspec.structs.fields(kind) if field.required} | {"device_id"}
    # Optional for devices without a key, which get no signed welcome.
    assert set(schema["required"]) - needed == ({"hello_sent_ms"} if name == "SignedWelcome" else set())
    assert needed <= set(schema["required"])


@pytest.mark.parametrize("vector", VECTORS["valid"], ids=lambda vector: str(vector["name"]))
def test_golden_frames_fit_the_schemas(vector: dict[str, Any]) -> None:
    jsonschema.validate(
        {**vector["decoded"], "device_id": vector["device_id"]}, schema_of(SCHEMAS[vector["message"]])
    )


def test_examples_fit_and_are_golden() -> None:
    golden = [{**vector["decoded"], "device_id": vector["device_id"]} for vector in VECTORS["valid"]]
    signed = {name: part for name, part in SPEC["components"]["messages"].items() if "contentType" in part}
    assert set(signed) == {"command", "signedWelcome", "ack"}
    for message in signed.values():
        schema = message["payload"]["$ref"].rsplit("/", 1)[1]
        for example in message["examples"]:
            jsonschema.validate(example["payload"], schema_of(schema))
        first = message["examples"][0]["payload"]
        assert first in golden or {**first, "slot": 0} in golden


def test_limits_are_those_of_the_code() -> None:
    settings = SPEC["components"]["schemas"]["Command"]["properties"]["settings"]
    assert settings["maxProperties"] == limits.MAX_SETTINGS
    assert settings["additionalProperties"]["anyOf"][2]["maxLength"] == limits.MAX_SETTING_CHARS
    assert SPEC["components"]["schemas"]["Command"]["properties"]["kind"]["enum"] == list(
        commands.CommandKind
    )
    assert SPEC["components"]["schemas"]["Ack"]["properties"]["result"]["enum"] == list(commands.AckResult)
