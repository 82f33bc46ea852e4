import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli import test as verb
from cli.servers.process_tree import is_gone
from cli.stack import CHECKOUT
from cli.test import E2E_PLACE, FAST, PAGE_PLACE, PHASES, REPORTS, TRIALS, Lap, Totals, read_totals
from tests.support.waiting import until

REPORT = """<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="pytest" errors="1" failures="2" skipped="3" tests="20" time="1.5"/></testsuites>
"""


def test_totals_are_read_from_the_report(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT)
    assert read_totals(report) == Totals(passed=14, failed=3, skipped=3)


def test_a_run_that_left_no_report_counts_nothing(tmp_path: Path) -> None:
    assert read_totals(tmp_path / "absent.xml") == Totals()


def test_totals_of_phases_add_up() -> None:
    assert Totals(1, 2, 3) + Totals(10, 20, 30) == Totals(11, 22, 33)


def test_the_trials_run_beside_nothing_else_and_nothing_runs_twice() -> None:
    assert (CHECKOUT / TRIALS).is_file()
    assert (CHECKOUT / REPORTS).is_dir()
    others, reports, faults = (" ".join(phase.arguments) for phase in PHASES)
    assert others.endswith(f"--ignore {REPORTS} --ignore {TRIALS}")
    assert reports.endswith(f" {REPORTS}")
    assert "--ignore" not in reports
    assert faults.endswith(f" {TRIALS}")


def test_the_fast_run_has_no_end_to_end_test_and_no_page() -> None:
    assert " ".join(FAST.arguments).endswith(f"--ignore {E2E_PLACE} --ignore {PAGE_PLACE}")


@pytest.mark.parametrize(
    ("marks", "places"), [("e2e|faults", (E2E_PLACE,)), ("page", (E2E_PLACE, PAGE_PLACE))]
)
def test_marked_tests_are_where_the_phases_look_for_them(marks: str, places: tuple[str, ...]) -> None:
    marked = [
        path.relative_to(CHECKOUT)
        for path in (CHECKOUT / "tests").rglob("test_*.py")
        if re.search(rf"mark\.({marks})\b", path.read_text())
    ]
    assert len(marked) > 1
    assert [path for path in marked if not any(map(path.is_relative_to, places))] == []


def test_a_lap_is_told_with_its_budget() -> None:
    assert str(Lap("report line", 48.4, 60)) == "report line 48 s of 60 s"
    assert str(Lap("check", 31.6)) == "check 32 s"


WAITS = """
import os, threading
from pathlib import Path

def test_that_waits():
    said = Path(__file__).with_name("pid.new")
    said.write_text(str(os.getpid()))
    said.rename(said.with_name("pid"))
    threading.Event().wait()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_whatever_ends_the_verb_ends_pytest_too(tmp_path: Path, number: signal.Signals) -> None:
    file, said = tmp_path / "test_waits.py", tmp_path / "pid"
    file.write_text(WAITS)
    # Whoever runs the tests under nohup does not mean this one.
    program = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL); from cli.main import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", program, "test", "-q", str(file)],
        cwd=CHECKOUT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    ) as process:
        until(lambda: said.exists() or process.poll() is not None)
        pid = int(said.read_text())
        try:
            process.send_signal(number)
            exit_code = process.wait(60)
            until(lambda: is_gone(pid))
        finally:
            if not is_gone(pid):
                os.kill(pid, signal.SIGKILL)
    assert exit_code == (-number if number is signal.SIGKILL else 128 + number)


def test_two_runs_that_begin_and_end_together_are_not_in_each_others_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What it made has been swept meanwhile.
    monkeypatch.setattr(verb, "reachable_root", lambda wanted: tmp_path / wanted.name)
    monkeypatch.setattr(verb, "_everything", lambda fast: fast)
    monkeypatch.setenv(verb.TEST_RUN, "")
    assert verb._all_phases(True)
