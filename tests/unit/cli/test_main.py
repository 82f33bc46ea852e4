import subprocess
import sys

import pytest
from typer.testing import CliRunner

from cli.main import VERBS, application, first_sentence
from cli.stack import CHECKOUT


def test_the_help_names_every_verb() -> None:
    said = CliRunner().invoke(application(VERBS), ["--help"]).output
    assert [verb for verb in (*VERBS, "device") if verb not in said] == []
    assert "./latchkey demo" in said


@pytest.mark.parametrize("group", [(), ("device",), ("device", "quarantine"), ("key",), ("person",)])
def test_no_verb_is_cut_off_in_the_middle_of_its_sentence(group: tuple[str, ...]) -> None:
    said = CliRunner().invoke(application(VERBS), [*group, "--help"]).output
    listed = said.partition("Commands:")[2]
    assert listed.strip()
    assert "..." not in listed


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("Opens it. Shows how.\n\nMore.", "Opens it."),
        ("\n    Opens it,\n    now.\n\n    Example: x", "Opens it, now."),
        ("Keys: one", "Keys: one"),
        ("", ""),
    ],
)
def test_the_first_sentence_of_a_help_is_one_line(text: str, first: str) -> None:
    assert first_sentence(text) == first


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_teaches_with_an_example(verb: str) -> None:
    answer = CliRunner().invoke(application((verb,)), [verb, "--help"])
    assert answer.exit_code == 0
    assert "./latchkey" in answer.output or verb == "device"


def test_a_verb_that_does_not_exist_is_refused() -> None:
    assert CliRunner().invoke(application(VERBS), ["open-everything"]).exit_code == 2


def test_the_gateway_is_reached_without_loading_other_verbs() -> None:
    program = (
        "import sys; from cli.main import application; application(('gateway',)); "
        "print(sorted(name for name in sys.modules if name in ('fastapi', 'cli.stack', 'device_sim', 'psycopg')))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "[]"
