"""The description of the live map says what the code says."""

from typing import Any, get_args, get_type_hints

import pytest
import yaml
from jsonschema import Draft202012Validator
from msgspec.json import decode, encode

from api.live import frames
from api.live.frames import Hello, Refused, Unwatch, Watch, encode_changes, encode_refused, encode_snapshot
from api.live.map_device import KIND_NAMES, REASON_NAMES
from api.live.outbox import Parcel
from api.routes.documents import ASYNCAPI_LIVE
from gateway.core.device import Kind
from tests.unit.api.live.entries import entry
from tests.unit.api.surface import serving

PARCEL = Parcel(
    [entry(1), entry(2, kind=Kind.CABINET, available=False)], [entry(3, battery_pct=None)], ["p4"]
)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(ASYNCAPI_LIVE.read_text(encoding="utf-8"))
    return loaded


def _check(document: dict[str, Any], name: str, payload: object) -> None:
    schema = {**document["components"]["schemas"][name], "components": document["components"]}
    Draft202012Validator(schema).validate(payload)


def test_every_example_fits_its_message(document: dict[str, Any]) -> None:
    for name, message in document["components"]["messages"].items():
        assert message["examples"]
        for example in message["examples"]:
            _check(document, name, example["payload"])


def test_examples_of_a_client_are_understood(document: dict[str, Any]) -> None:
    for name, kind in (("hello", Hello), ("watch", Watch), ("unwatch", Unwatch)):
        for example in document["components"]["messages"][name]["examples"]:
            assert isinstance(frames.decode(encode(example["payload"])), kind)


def test_what_the_server_says_is_what_is_described(document: dict[str, Any]) -> None:
    _check(
        document, "snapshot", decode(encode_snapshot(1, PARCEL, cursor="c", count=2, more=False, stale=False))
    )
    _check(document, "changes", decode(encode_changes(1, PARCEL, cursor="c", count=2, more=True, stale=True)))
    for reason in get_args(get_type_hints(Refused)["reason"]):
        _check(document, "refused", decode(encode_refused(Refused(None, reason, "so"))))


def test_every_kind_reason_and_refusal_is_described(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    reason = schemas["device"]["properties"]["reasons"]["items"]["properties"]["reason"]
    assert reason["enum"] == list(REASON_NAMES.values())
    assert schemas["device"]["properties"]["kind"]["enum"] == list(KIND_NAMES.values())
    assert schemas["refused"]["properties"]["reason"]["enum"] == list(
        get_args(get_type_hints(Refused)["reason"])
    )


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    def walk(value: object) -> None:
        if isinstance(value, dict):
            if "$ref" in value:
                here: Any = document
                for part in value["$ref"].removeprefix("#/").split("/"):
                    here = here[part]
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(document)


async def test_the_document_is_served() -> None:
    async with serving() as surface:
        answer = await surface.http.get("/asyncapi.yaml")
        assert answer.headers["content-type"].startswith("application/yaml")
        assert yaml.safe_load(answer.text)["asyncapi"] == "3.0.0"
