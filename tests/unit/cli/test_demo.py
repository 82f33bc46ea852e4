import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.demo import free_or_any
from cli.main import application


def run(*arguments: str) -> tuple[int, str]:
    answer = CliRunner().invoke(application(("demo",)), ["demo", *arguments], terminal_width=200)
    return answer.exit_code, answer.output


def test_the_help_teaches_with_lines_to_copy() -> None:
    exit_code, said = run("--help")
    assert exit_code == 0
    for wanted in (
        "./latchkey demo --devices 5000 --for 60",
        "--replay trips.csv",
        "--profile city",
        "Ctrl-C",
    ):
        assert wanted in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--profile", "monsoon"), "none, city"),
        (("--mix", "boat=3"), "boat"),
        (("--replay", "/nowhere/trips.csv"), "/nowhere/trips.csv"),
        (("--devices", "0"), "devices"),
        (("--for", "0"), "--for"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_starts(arguments: tuple[str, ...], said: str) -> None:
    exit_code, output = run(*arguments)
    assert exit_code == 2
    assert said in output


def test_a_file_without_the_columns_of_trips_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "weather.csv"
    file.write_text("day,degrees\n1,30\n")
    exit_code, output = run("--replay", str(file))
    assert exit_code == 2
    assert "bike" in output


def test_a_taken_port_gives_way_to_a_free_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert free_or_any(port) == 0
    assert free_or_any(port) == port
