"""OpenAPI is complete: every route has a summary, every error a problem, every example holds."""

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from api.problems import MEDIA_TYPE
from api.routing import application
from tests.unit.api.surface import serving


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    async def never(_: object) -> Any:
        raise AssertionError("not started")

    return application(never, web_dir=None).openapi()  # type: ignore[arg-type]  # never entered


def test_every_operation_is_described(document: dict[str, Any]) -> None:
    operations = [(path, one) for path, methods in document["paths"].items() for one in methods.values()]
    assert len(operations) >= 10
    for path, one in operations:
        assert one["summary"], path
        assert one["description"], path
        assert one["tags"], path


def test_errors_are_documented_as_problems(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for one in methods.values():
            for status, answer in one["responses"].items():
                if int(status) >= 400 and path != "/readyz":
                    assert MEDIA_TYPE in answer["content"], (path, status)


def test_every_example_fits_its_schema(document: dict[str, Any]) -> None:
    checked = 0
    for schema in document["components"]["schemas"].values():
        whole = {**schema, "components": document["components"]}
        for example in schema.get("examples", ()):
            Draft202012Validator(whole).validate(example)
            checked += 1
    assert checked >= 3


def test_nearby_documents_each_parameter(document: dict[str, Any]) -> None:
    parameters = {one["name"]: one for one in document["paths"]["/v1/nearby"]["get"]["parameters"]}
    assert set(parameters) == {"lat", "lon", "radius_m", "kinds", "min_battery_pct", "availability", "limit"}
    assert [name for name, one in parameters.items() if one["required"]] == ["lat", "lon"]


async def test_a_built_page_is_served_at_the_root(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<p>map</p>")
    async with serving(web_dir=tmp_path) as surface:
        assert (await surface.http.get("/")).text == "<p>map</p>"
        assert (await surface.http.get("/v1/fleet")).status_code == 200
        assert (await surface.http.get("/v1/enrol")).headers["allow"] == "POST"
        assert (await surface.http.get("/v1/unknown")).status_code == 404
        assert (await surface.http.get("/missing.js")).headers["content-type"] == MEDIA_TYPE


def test_a_body_that_cannot_be_read_is_a_documented_refusal(document: dict[str, Any]) -> None:
    for methods in document["paths"].values():
        for one in methods.values():
            if "requestBody" in one:
                assert {"400", "413"} <= set(one["responses"])


def test_settings_of_a_device_have_names_of_one_form_only(document: dict[str, Any]) -> None:
    settings = document["components"]["schemas"]["CommandWish"]["properties"]["settings"]
    assert settings["additionalProperties"] is False
    assert len(settings["patternProperties"]) == 1
