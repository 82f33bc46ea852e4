import pytest
from typer.testing import CliRunner

from cli import bench
from cli.main import application


def run(*arguments: str) -> tuple[int, str]:
    answer = CliRunner().invoke(application(("bench",)), ["bench", *arguments], terminal_width=200)
    return answer.exit_code, answer.output


def test_the_help_teaches_with_lines_to_copy() -> None:
    exit_code, said = run("--help")
    assert exit_code == 0
    assert "./latchkey bench ingest --seconds 60 --json ingest.json" in said
    assert [subject for subject in bench.Subject if f"./latchkey bench {subject}" not in said] == []


@pytest.mark.parametrize("arguments", [("everything",), ("ingest", "--seconds", "0"), ()])
def test_what_cannot_be_measured_is_refused(arguments: tuple[str, ...]) -> None:
    assert run(*arguments)[0] == 2


def test_an_unknown_subject_is_refused_with_those_there_are() -> None:
    said = run("everything")[1]
    assert [subject for subject in bench.Subject if subject not in said] == []
