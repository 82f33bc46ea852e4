"""The demo as a stranger starts it: it ends by itself, on Ctrl-C and after a kill, and its figures agree."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from cli.page import ensure_page
from cli.servers.account import reachable_root
from cli.servers.folder import owned
from cli.servers.process_tree import is_gone, tree
from cli.stack import CHECKOUT, STATE_FOLDER
from tests.support.waiting import until

STOP_DEADLINE_S = 15.0


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """Where the servers of one demo after the other keep their data."""
    ensure_page()
    run = str(os.getpid())
    folder = reachable_root(STATE_FOLDER / "tests" / f"{run}-demo")
    # Others sweep away what nobody uses, as this one between two demos.
    with owned(folder.parent, run):
        yield folder
    shutil.rmtree(folder, ignore_errors=True)


class Demo:
    """One `./latchkey demo` as a child process."""

    def __init__(self, process: subprocess.Popen[bytes], out: Path) -> None:
        self.process = process
        self._out = out

    @property
    def said(self) -> str:
        return self._out.read_text()

    def page(self) -> str:
        """The address it printed, once the page answers there."""

        def answering() -> str | None:
            assert self.process.poll() is None, self.said
            found = [line.split()[-1] for line in self.said.splitlines() if line.startswith("  the map ")]
            return found[0] if found and b"<html" in answer_of(found[0]) else None

        return until(answering, deadline_s=60)


def answer_of(address: str) -> bytes:
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            found: bytes = answer.read()
            return found
    except HTTPError as refused:
        refused.close()
        return b""
    except OSError:
        return b""


@contextmanager
def demo(place: Path, tmp_path: Path, *arguments: str) -> Iterator[Demo]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LATCHKEY_")}
    out = tmp_path / "said"
    with out.open("wb") as written:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", "demo", "--data", str(place), *arguments],
            cwd=CHECKOUT,
            env={**environment, "PYTHONPATH": str(CHECKOUT)},
            stdout=written,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Demo(process, out)
    finally:
        family = tree(process.pid) if process.poll() is None else []
        process.kill()
        process.wait()
        until(lambda: all(is_gone(pid) for pid in family))


def summary_in(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def has_told_of_two_rounds(run: Demo) -> bool:
    """Whether its devices said more than that they are there."""
    assert run.process.poll() is None, run.said
    told = re.findall(r" sent (\d+) ", run.said)
    return bool(told) and int(told[-1]) > 60


def test_ctrl_c_ends_a_demo_in_order_its_figures_agree_and_nothing_is_left_running(
    place: Path, tmp_path: Path
) -> None:
    file = tmp_path / "summary.json"
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with demo(place, tmp_path, "--devices", "60", "--json", str(file), "--port", str(taken)) as run:
            page = run.page()
            family = tree(run.process.pid)
            until(lambda: has_told_of_two_rounds(run), what="a line about more than one report each")
            run.process.send_signal(signal.SIGINT)
            assert run.process.wait(STOP_DEADLINE_S) == 0, run.said
    assert f":{taken}/" not in page
    assert len(family) > 5
    assert [pid for pid in family if not is_gone(pid)] == []
    assert answer_of(page) == b""
    assert "Traceback" not in run.said
    summary = summary_in(file)
    figures_agree(summary)
    assert summary["devices"] == summary["connected"] == summary["map_devices"] == 60
    assert summary["sent"] == summary["confirmed"] > 60
    assert summary["receipted"] == summary["kept"]
    assert 0 < summary["p50_ms"] <= summary["p99_ms"]
    assert summary["page"] == page.partition("#")[0], "a file that is kept holds no token"
    assert "report to map" in run.said
    assert f"{summary['stored']} / {summary['stored']} / {summary['stored']}" in run.said
    assert max(len(line) for line in run.said.splitlines() if "reports/s" in line) > 80, "a line was wrapped"


def figures_agree(summary: dict[str, Any]) -> None:
    """Nothing is lost or put aside."""
    assert summary["stored"] == summary["confirmed"]
    assert summary["quarantined"] == 0
    assert summary["profile"] == "none"


def test_a_killed_demo_leaves_nothing_running_and_the_next_one_replays_trips_to_its_end(
    place: Path, tmp_path: Path
) -> None:
    with demo(place, tmp_path, "--devices", "60", "--port", "0") as run:
        run.page()
        family = tree(run.process.pid)
        run.process.kill()
        run.process.wait()
        until(lambda: all(is_gone(pid) for pid in family))
    assert len(family) > 5
    trips = tmp_path / "trips.csv"
    trips.write_text(thirty_bikes_to_and_fro() + "bike-0,oops,,,,,\n")
    file = tmp_path / "summary.json"
    asked = ("--devices", "40", "--for", "2", "--speed", "240", "--json", str(file), "--port", "0")
    with demo(place, tmp_path, "--replay", str(trips), *asked) as run:
        assert run.process.wait(60) == 0, run.said
    summary = summary_in(file)
    figures_agree(summary)
    assert summary["connected"] == summary["map_devices"] > 30
    assert summary["confirmed"] > summary["connected"], "nobody rode"
    refused = summary["replay"]["first_refused"]
    assert run.said.startswith(f"900 trips of 30 bikes; 1 row refused, in {refused}\n")


def thirty_bikes_to_and_fro() -> str:
    """A trip per bike and minute, for half an hour."""
    lines = ["bike_id,started_at,ended_at,start_lat,start_lon,end_lat,end_lon"]
    for minute in range(30):
        there, back = ("1.3000,103.8500", "1.3050,103.8550")[:: 1 if minute % 2 else -1]
        for bike in range(30):
            begins = f"2026-03-01T08:{minute:02d}:{bike:02d}Z"
            lines.append(f"bike-{bike},{begins},2026-03-01T08:{minute:02d}:{bike + 25:02d}Z,{there},{back}")
    return "\n".join(lines) + "\n"
