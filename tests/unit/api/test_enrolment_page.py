"""What docs/wire.md says about enrolment is what the API takes and answers."""

import json
import re
from pathlib import Path

import pytest

from api.problems import TYPE_PREFIX
from tests.unit.api.surface import serving

PAGE = (Path(__file__).parents[3] / "docs" / "wire.md").read_text()
SECTION = PAGE.partition("\n## Enrolment\n")[2].partition("\n## ")[0]
WISH, ANSWER = (
    json.loads(block.partition("\n\n")[2]) for block in re.findall(r"```http\n(.*?)```", SECTION, re.DOTALL)
)


async def test_the_example_is_answered_word_for_word_but_for_the_password() -> None:
    async with serving() as surface:
        surface.newcomers.codes = {WISH["code"]}
        answer = await surface.http.post("/v1/enrol", json=WISH, headers={"Authorization": ""})
        assert answer.status_code == 201
        assert answer.json() | {"password": ANSWER["password"]} == ANSWER


def test_every_member_of_the_answer_is_explained() -> None:
    table = SECTION.partition("| member |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`([a-z_]+)`", "".join(re.findall(r"^\|[^|]*\|", table, re.MULTILINE)))) == set(
        ANSWER
    )


@pytest.mark.parametrize(
    ("wish", "status", "kind"),
    [({"code": "used"}, 403, "code_refused"), ({**WISH, "device_id": "taken"}, 409, "device_taken")],
)
async def test_refusals_have_the_names_on_the_page(wish: dict[str, str], status: int, kind: str) -> None:
    async with serving() as surface:
        surface.newcomers.codes, surface.newcomers.taken = {WISH["code"]}, {"taken"}
        answer = await surface.http.post("/v1/enrol", json=wish)
        assert (answer.status_code, answer.json()["type"]) == (status, TYPE_PREFIX + kind)
        assert f"| {status} `{kind}` |" in SECTION
