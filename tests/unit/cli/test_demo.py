import socket
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.demo import free_or_any
from cli.demo_run import DemoPlan
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
        "bike, start, end, start_lat, start_lon, end_lat, end_lon",
        "Its bikes only, unless --devices or --mix",
        "--map start=departed_at",
        "[default: (3000); ",
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
        (("--port", "99999"), "--port"),
        (("--port", "-1"), "--port"),
        (("--json", "/nowhere/at/all/summary.json"), "/nowhere/at/all"),
        (("--json", "/"), "is a folder"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.setattr("cli.demo.run_demo", lambda plan, json_file: 0)
    exit_code, output = run(*arguments)
    assert exit_code == 2
    assert said in output


def test_a_file_without_the_columns_of_trips_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "weather.csv"
    file.write_text("day,degrees\n1,30\n")
    exit_code, output = run("--replay", str(file))
    assert exit_code == 2
    assert "bike" in output


TRIPS = """bike,start,end,start_lat,start_lon,end_lat,end_lon
A,1000,1600,1.30,103.80,1.31,103.81
B,1000,1600,1.30,103.80,1.31,103.81
"""


@pytest.mark.parametrize(
    ("asked", "cast"),
    [
        ((), {"bike": 2}),
        (("--devices", "50"), {"bike": 2, "cabinet": 6, "locker": 2}),
        (("--mix", "bike=2900,locker=100"), {"bike": 2, "locker": 100}),
        (("--mix", "bike=1", "--devices", "1"), {"bike": 1}),
    ],
)
def test_a_replay_is_the_bikes_of_the_file_only_unless_others_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: tuple[str, ...], cast: dict[str, int]
) -> None:
    plans: list[DemoPlan] = []

    def noted(plan: DemoPlan, _: Path | None) -> int:
        plans.append(plan)
        return 0

    # The servers of a demo take longer to start than this question is worth.
    monkeypatch.setattr("cli.demo.run_demo", noted)
    file = tmp_path / "trips.csv"
    file.write_text(TRIPS)
    assert run("--replay", str(file), *asked) == (0, "")
    (plan,) = plans
    assert Counter(str(profile.kind) for profile in plan.scenario.fleet.profiles) == cast


def test_a_taken_port_gives_way_to_a_free_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert free_or_any(port) == 0
    assert free_or_any(port) == port
