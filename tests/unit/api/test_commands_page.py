"""docs/commands.md names every phase, refusal and incident there is, and none that there is not."""

import re

import msgspec

from api.command_schemas import COMMAND_EXAMPLE, CommandAnswer, CommandWish
from cli.stack import CHECKOUT
from gateway.core.command import SETTLED, Phase
from gateway.core.issue_conditions import OVERRIDABLE, Refusal

PAGE = (CHECKOUT / "docs" / "commands.md").read_text()
SOURCES = (
    "gateway/commands",
    "gateway/stores/command_desk.py",
    "gateway/stores/migrations/0006_commands.sql",
)


def chapter(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def first_cells(text: str) -> list[str]:
    """The names in the first column of a table."""
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| ") and "`" in line]
    return [name for row in rows for name in re.findall(r"`([a-z_]+)`", row)]


def sources() -> str:
    """What the gateway says of commands, as text."""
    paths = [path for one in SOURCES for path in ([CHECKOUT / one, *(CHECKOUT / one).glob("*.py")])]
    return "".join(path.read_text() for path in paths if path.is_file())


def test_every_phase_is_there_and_says_whether_it_is_the_end() -> None:
    text = chapter("What the phases mean")
    assert first_cells(text) == [phase.value for phase in sorted(Phase, key=_place)]
    for phase in Phase:
        assert (f"| `{phase.value}` | yes |" in text) == (phase in SETTLED), phase


def _place(phase: Phase) -> int:
    return PAGE.index(f"| `{phase.value}` |")


def test_every_refusal_is_named() -> None:
    named = chapter("When it is refused").split("`reasons` are of")[1].split("\n\n")[0]
    listed, _, passed_over = named.partition("`override`")
    assert set(re.findall(r"`([a-z_]+)`", listed)) == {one.value for one in Refusal}
    assert set(re.findall(r"`([a-z_]+)`", passed_over)) == {one.value for one in OVERRIDABLE} | {"why"}


def test_every_line_of_a_story_and_every_incident_exists() -> None:
    said = sources()
    for name in first_cells(chapter("The story")) + first_cells(chapter("Incidents")):
        assert f'"{name}"' in said or f"'{name}'" in said or f"command_{name}" in said, name
    for kind in re.findall(r'story\.incident\(\s*"([a-z_]+)"', said):
        assert kind in first_cells(chapter("Incidents")), kind


def test_every_kind_and_field_is_there_and_the_example_is_an_answer() -> None:
    for kind in CommandWish.model_json_schema()["properties"]["kind"]["enum"]:
        assert f"`{kind}`" in chapter("Place one"), kind
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    answer = msgspec.json.decode(example)
    assert answer.keys() == COMMAND_EXAMPLE.keys()
    CommandAnswer.model_validate(answer)
