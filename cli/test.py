"""The verb `test`: all checks, then all tests in phases, then what each took and one line of totals."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from xml.etree import ElementTree

import typer

from cli import check
from cli.page import WEB, ensure_page
from cli.servers.account import reachable_root
from cli.servers.folder import owned, sweep
from cli.servers.process_tree import signal_tree
from cli.servers.spawn import bound_to_us
from cli.settings import timescale_choice
from cli.stack import CHECKOUT, STATE_FOLDER, signals_end_the_run

TEST_STACKS = STATE_FOLDER / "tests"
"""Folders of the workers' servers."""
TEST_RUN = "LATCHKEY_TEST_RUN"
"""Names a run of several phases: the workers of a later one take their data over, which takes seconds to make."""
WORKERS = 3
"""Each has servers of its own. A part of the time is waiting, for disks, silences and time limits: two cores carry
three at once."""
TRIALS_AT_ONCE = 2
E2E_PLACE = "tests/e2e"
PAGE_PLACE = "tests/page"
REPORTS = "tests/e2e/reports"
"""The report line end to end, from a device to the map: a phase with a budget of its own, whose workers need not read
all other tests. What is ordered, and by whom (tests/e2e/orders), runs beside those others."""
TRIALS = "tests/e2e/test_faults_trials.py"
"""Beside nothing but each other: what they strike is under full load, and their time limits are judged."""
SUITE_BUDGET_S = 480
CTRL_C_DEADLINE_S = 10.0
END_DEADLINE_S = 60.0
"""For pytest, its workers and their servers to end in order."""
NO_TESTS = 5
"""pytest's exit code when nothing was collected."""


def _side_by_side(workers: int) -> tuple[str, ...]:
    # In the order of collection: who has the most tests does not take longest.
    return ("-n", str(workers), "--dist", "loadfile", "--no-loadscope-reorder")


def _dealt_out(workers: int) -> tuple[str, ...]:
    return ("-n", str(workers), "--dist", "worksteal")


@dataclass(frozen=True, slots=True)
class Totals:
    """What one pytest run counted."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)


@dataclass(frozen=True, slots=True)
class Phase:
    """One pytest run, and in how many seconds it is to end on two cores that nobody else uses."""

    name: str
    arguments: tuple[str, ...]
    budget_s: int | None = None


FAST = Phase("tests", (*_side_by_side(WORKERS), "--ignore", E2E_PLACE, "--ignore", PAGE_PLACE))
"""What `--fast` runs."""
PHASES = (
    Phase("tests and orders", (*_side_by_side(WORKERS), "--ignore", REPORTS, "--ignore", TRIALS)),
    Phase("report line", (*_side_by_side(WORKERS), REPORTS), budget_s=60),
    Phase("faults", (*_dealt_out(TRIALS_AT_ONCE), TRIALS), budget_s=200),
)
"""Every test is in one of them."""


@dataclass(frozen=True, slots=True)
class Lap:
    """How long a part of it all took."""

    name: str
    seconds: float
    budget_s: int | None = None

    def __str__(self) -> str:
        budget = f" of {self.budget_s} s" if self.budget_s else ""
        return f"{self.name} {self.seconds:.0f} s{budget}"


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("test", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(test)


def test(
    context: typer.Context,
    *,
    fast: Annotated[bool, typer.Option(help="No check, page or e2e, fewer examples per property.")] = False,
    fuzz: Annotated[int, typer.Option(help="Fuzz the decoders for this many seconds instead.")] = 0,
    timescale: Annotated[str, typer.Option(help="auto, off, or require: fail without TimescaleDB.")] = "",
) -> None:
    """Runs everything: format, lint, types, arrows, shape, then every test on real servers.

    Anything else you give is passed on to pytest, which then runs once, without the checks:

      ./latchkey test

      ./latchkey test --fast

      ./latchkey test --timescale require

      ./latchkey test tests/unit/geo -k polygon -x
    """
    os.environ["LATCHKEY_TIMESCALE"] = timescale_choice(
        timescale or os.environ.get("LATCHKEY_TIMESCALE", "auto")
    )
    if fast:
        os.environ["LATCHKEY_EXAMPLES"] = "few"
    with signals_end_the_run():
        if fuzz:
            os.environ["LATCHKEY_FUZZ_S"] = str(fuzz)
            raise typer.Exit(_pytest(["tests/fuzz", "--timeout", str(fuzz * 2 + 600), *context.args])[0])
        if context.args:
            raise typer.Exit(_pytest(context.args)[0])
        raise typer.Exit(0 if _all_phases(fast) else 1)


def _all_phases(fast: bool) -> bool:
    """Leaves no stack behind; those of a run that was killed are swept by the next one."""
    run = os.environ[TEST_RUN] = str(os.getpid())
    stacks = _parent_of_stacks(run)
    try:
        with owned(stacks, run):
            return _everything(fast)
    finally:
        sweep(stacks)


def _parent_of_stacks(run: str) -> Path:
    """Where the folders of the workers' servers lie."""
    place = reachable_root(TEST_STACKS / f"{run}-none")
    # Another run may have swept it meanwhile.
    with suppress(FileNotFoundError):
        place.rmdir()
    return place.parent


def _everything(fast: bool) -> bool:
    began_s = time.monotonic()
    # The page is built meanwhile: either leaves the other a core.
    with ThreadPoolExecutor(1) as pool:
        building = pool.submit(ensure_page) if not fast and (WEB / "package.json").exists() else None
        well = fast or check.all_well(lambda line: print(line, flush=True))
        if building is not None:
            building.result()
    checked = "skipped" if fast else "ok" if well else "FAILED"
    laps = [Lap("check and page", time.monotonic() - began_s)]
    totals = Totals()
    for phase in (FAST,) if fast else PHASES:
        phase_began_s = time.monotonic()
        exit_code, counted = _pytest(["-q", *phase.arguments])
        laps.append(Lap(phase.name, time.monotonic() - phase_began_s, phase.budget_s))
        totals += counted
        well = well and exit_code in (0, NO_TESTS)
    whole = Lap("all", time.monotonic() - began_s, None if fast else SUITE_BUDGET_S)
    print(f"seconds: {', '.join(map(str, [*laps, whole]))}")
    print(
        f"latchkey test: {totals.passed} passed, {totals.failed} failed, {totals.skipped} skipped, "
        f"check {checked}, {whole.seconds:.0f} s"
    )
    return well


def _pytest(arguments: Sequence[str]) -> tuple[int, Totals]:
    """Runs pytest in a process of its own; returns its exit code and what it counted."""
    report = STATE_FOLDER / f"tests-{os.getpid()}.xml"
    STATE_FOLDER.mkdir(exist_ok=True)
    # Whatever kills us ends it too. It shares our terminal: Ctrl-C reaches both.
    command = [*bound_to_us("TERM"), "--", sys.executable, "-m", "pytest", f"--junitxml={report}", *arguments]
    child = subprocess.Popen(command, cwd=CHECKOUT)
    try:
        exit_code = child.wait()
        return exit_code, read_totals(report)
    except BaseException as told:
        _end(child, CTRL_C_DEADLINE_S if isinstance(told, KeyboardInterrupt) else 0)
        raise
    finally:
        report.unlink(missing_ok=True)


def _end(child: subprocess.Popen[bytes], patience_s: float) -> None:
    """Tells pytest to end once it has had so long to do so by itself; returns when it and its servers are gone."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A second time must not leave half of it running.
        signal.signal(number, signal.SIG_IGN)
    with suppress(subprocess.TimeoutExpired):
        child.wait(patience_s)
        return
    child.terminate()
    with suppress(subprocess.TimeoutExpired):
        child.wait(END_DEADLINE_S)
        return
    signal_tree(child.pid, signal.SIGKILL)
    child.wait()


def read_totals(report: Path) -> Totals:
    """Counts of a JUnit report; nothing when pytest did not get that far."""
    if not report.exists():
        return Totals()
    suites = ElementTree.parse(report).getroot().iter("testsuite")
    total = Totals()
    for suite in suites:
        bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped = int(suite.get("skipped", 0))
        total += Totals(int(suite.get("tests", 0)) - bad - skipped, bad, skipped)
    return total
