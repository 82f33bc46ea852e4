from typer.testing import CliRunner

from bench.faults.trials import TRIALS
from cli.main import application


def run(*arguments: str) -> tuple[int, str]:
    answer = CliRunner().invoke(application(("chaos",)), ["chaos", *arguments], terminal_width=200)
    return answer.exit_code, answer.output


def test_the_help_teaches_with_lines_to_copy() -> None:
    exit_code, said = run("--help")
    assert exit_code == 0
    assert "./latchkey chaos --short" in said
    examples = next(line for line in said.splitlines() if "--seconds 60" in line).split()
    named = [word for word in examples if not word.startswith("-")][2:-1]
    assert named
    assert set(named) <= {trial.name for trial in TRIALS}


def test_an_unknown_trial_is_refused_with_those_there_are() -> None:
    exit_code, said = run("kill-everybody")
    assert exit_code == 2
    words = {word.strip(",.│ ") for word in said.split()}
    assert {trial.name for trial in TRIALS} <= words
