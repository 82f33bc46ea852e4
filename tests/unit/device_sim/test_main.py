"""The verb reads its options, or says what is wrong with them."""

import asyncio
import json
from pathlib import Path
from threading import Thread

import pytest
import typer
from typer.testing import CliRunner

from device_sim.fleet import build_fleet
from device_sim.main import NEVER_CONNECTED, SECRET_VARIABLE, register
from tests.unit.device_sim.tiny_broker import TinyBroker

ENVIRONMENT = {SECRET_VARIABLE: "s"}
HEADER = "bike,start,end,start_lat,start_lon,end_lat,end_lon\n"
ROW = "A,1000,1600,1.30,103.80,1.31,103.81\n"


def app() -> typer.Typer:
    made = typer.Typer(rich_markup_mode=None)
    register(made)
    return made


def test_the_fleet_can_be_listed_for_a_registry() -> None:
    result = CliRunner().invoke(app(), ["--devices", "20", "--list"], env=ENVIRONMENT)
    assert result.exit_code == 0
    listed = json.loads(result.stdout)
    group = build_fleet(20, seed=1, secret=b"s")
    assert [device["password"] for device in listed["devices"]] == [one.password for one in group.devices()]
    assert {model["kind"] for model in listed["models"]} == {"bike", "cabinet", "locker"}


@pytest.mark.parametrize(
    "options",
    [
        ["--mix", "boat=1"],
        ["--profile", "storm"],
        ["--broker", "nowhere"],
        ["--replay", "/does/not/exist.csv"],
        ["--centre", "here"],
        ["--devices", "0"],
        ["--audit", "ftp://127.0.0.1"],
    ],
)
def test_a_bad_option_is_named(options: list[str]) -> None:
    result = CliRunner().invoke(app(), [*options, "--for", "0"], env=ENVIRONMENT)
    assert result.exit_code == 2


def test_without_a_secret_nothing_runs() -> None:
    result = CliRunner().invoke(app(), ["--for", "0"], env={SECRET_VARIABLE: ""})
    assert result.exit_code == 2
    assert SECRET_VARIABLE in result.output


def test_a_run_ends_by_itself_and_writes_its_summary(tmp_path: Path) -> None:
    group = build_fleet(5, seed=1, secret=b"s")
    broker = TinyBroker({device.device_id: device.password for device in group.devices()})
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(broker.__aenter__(), loop).result()
        out = tmp_path / "summary.json"
        options = [
            "--devices",
            "5",
            "--for",
            "0.5",
            "--gather",
            "30",
            "--broker",
            f"127.0.0.1:{broker.port}",
            "--json",
            str(out),
        ]
        result = CliRunner().invoke(app(), options, env=ENVIRONMENT)
        assert result.exit_code == 0, result.output
        summary = json.loads(out.read_text())["summary"]
        assert summary["sent"] == summary["acked"] >= 5
        asyncio.run_coroutine_threadsafe(broker.__aexit__(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_what_was_refused_of_a_trip_file_is_said_at_the_start_and_in_the_summary(tmp_path: Path) -> None:
    trips, out = tmp_path / "trips.csv", tmp_path / "summary.json"
    trips.write_text(HEADER + ROW + ROW.replace("1600", "oops"))
    options = [
        "--replay",
        str(trips),
        "--for",
        "0.2",
        "--gather",
        "0",
        "--broker",
        "127.0.0.1:1",
        "--json",
        str(out),
    ]
    result = CliRunner().invoke(app(), options, env=ENVIRONMENT)
    assert result.output.startswith("1 trip of 1 bike; 1 row refused, in line 3: end 'oops' is no time\n")
    assert json.loads(out.read_text())["replay"]["first_refused"] == "line 3: end 'oops' is no time"


@pytest.mark.parametrize(
    ("asked", "kinds"), [([], {"bike"}), (["--devices", "50"], {"bike", "cabinet", "locker"})]
)
def test_a_replay_is_the_bikes_of_the_file_only_unless_others_are_asked_for(
    tmp_path: Path, asked: list[str], kinds: set[str]
) -> None:
    trips = tmp_path / "trips.csv"
    trips.write_text(HEADER + ROW)
    result = CliRunner().invoke(app(), ["--replay", str(trips), *asked, "--list"], env=ENVIRONMENT)
    assert {model["kind"] for model in json.loads(result.stdout)["models"]} == kinds


def test_a_broker_that_is_not_there_is_an_exit_code() -> None:
    result = CliRunner().invoke(
        app(), ["--devices", "2", "--for", "0.2", "--gather", "0", "--broker", "127.0.0.1:1"], env=ENVIRONMENT
    )
    assert result.exit_code == NEVER_CONNECTED
