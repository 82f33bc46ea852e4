import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cli import demo_run
from cli.child_process import ChildProcess
from cli.demo_fleet import DATABASE
from cli.demo_run import STANDSTILL_S, DemoPlan, Rows, run_demo, settings_of, settled_rows, summarize
from cli.map_watch import MapWatch
from cli.stack import Stack
from device_sim.ledger import Summary
from device_sim.run import RunResult
from device_sim.scenario import Asked, fictional
from device_sim.trip_count import TripCount

FILE = TripCount(300, 60, 60, 5, "line 302: start 'oops' is no time")


def test_a_demo_whose_reports_are_all_in_ends_at_once(database: str) -> None:
    assert settled_rows(database, acked=0) == Rows(stored=0, quarantined=0)


def test_a_demo_does_not_wait_for_what_will_never_come(database: str) -> None:
    began_s = time.monotonic()
    assert settled_rows(database, acked=7) == Rows(stored=0, quarantined=0)
    assert time.monotonic() - began_s >= STANDSTILL_S


def test_what_was_quarantined_has_come_in_too(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "insert into quarantine (device_id, topic, reason, place, received_at, frame)"
            " values ('x', 'lk/v1/08/x/report', 'malformed', '', now(), 'x')"
        )
    began_s = time.monotonic()
    assert settled_rows(database, acked=1) == Rows(stored=0, quarantined=1)
    assert time.monotonic() - began_s < STANDSTILL_S


def test_a_summary_takes_each_figure_from_who_counted_it() -> None:
    watch = MapWatch("ws://127.0.0.1:1/v1/live", (0.0, 0.0, 1.0, 1.0))
    watch.devices = {"a": {}, "b": {}}
    watch.changes = 5
    watch.lags.add(0.004)
    fleet = Summary(2, connected=2, seconds=3.0, sent=9, acked=8, kept=1, receipted=1)
    summary = summarize(RunResult(fleet), watch, Rows(7, 1), page="http://p/", profile="city", replay=FILE)
    assert asdict(summary)["replay"] == {
        "trips": 300,
        "bikes": 60,
        "riding_bikes": 60,
        "refused_rows": 5,
        "first_refused": "line 302: start 'oops' is no time",
    }
    assert (summary.sent, summary.confirmed, summary.stored, summary.quarantined) == (9, 8, 7, 1)
    assert (summary.map_devices, summary.map_changes, summary.page, summary.profile) == (
        2,
        5,
        "http://p/",
        "city",
    )
    assert summary.p50_ms == summary.p99_ms
    assert summary.p50_ms is not None
    assert 4.0 <= summary.p50_ms <= 4.4


def test_a_demo_bounds_no_device_so_that_a_small_fleet_at_a_high_rate_is_stored_whole() -> None:
    assert settings_of(8080, Path("page"))["LATCHKEY_REPORTS_PER_DEVICE"] == "0"


class Pretended(ChildProcess):
    """A gateway or API that lives as long as it is told to."""

    def __init__(self, verb: str, folder: Path, *, lives: bool) -> None:
        super().__init__([verb], {}, folder)
        self.ready = {"http_port": 1}
        self.lives = lives

    @property
    def running(self) -> bool:
        return self.lives

    def log_tail(self) -> str:
        return f"{self.name} is out of luck"


@pytest.mark.parametrize(("gateway_lives", "exit_code"), [(True, 0), (False, 1)])
def test_a_demo_whose_gateway_ended_by_itself_says_so_and_fails(
    stack: Stack,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    gateway_lives: bool,
    exit_code: int,
) -> None:
    @contextmanager
    def started(*_: Any, **__: Any) -> Iterator[Stack]:
        yield stack

    async def live(*_: Any, **__: Any) -> RunResult:
        return RunResult(Summary(5, connected=5, seconds=3.0, sent=9, acked=9, kept=1, receipted=1))

    gateway = Pretended("gateway", tmp_path, lives=gateway_lives)
    api = Pretended("api", tmp_path, lives=True)
    monkeypatch.setattr(Stack, "started", started)
    for name, instead in {
        "ensure_page": lambda: tmp_path,
        "DEMO_FOLDER": tmp_path,
        "_start_children": lambda *_: (gateway, api),
        "_live": live,
        "settled_rows": lambda *_: Rows(0, 0),
    }.items():
        monkeypatch.setattr(demo_run, name, instead)
    # The demo's gateway would tell it.
    monkeypatch.setattr(stack.broker, "wait_until_let_in", lambda *_: None)
    scenario = fictional(Asked(5, 1, b"s"))
    plan = DemoPlan(scenario, rate_per_s=1.0, speed=None, for_s=3.0, profile="none", port=0)
    assert run_demo(plan, None) == exit_code
    stack.postgres.drop_database(stack.postgres.dsn(DATABASE))
    assert ("gateway is out of luck" in capsys.readouterr().out) is (not gateway_lives)


async def test_a_demo_ends_early_when_its_api_ends(tmp_path: Path) -> None:
    stop = asyncio.Event()
    children = [Pretended("gateway", tmp_path, lives=True), Pretended("api", tmp_path, lives=False)]
    async with asyncio.timeout(30):
        await demo_run._stop_without(children, stop)
    assert stop.is_set()
