"""The verb `test`: all checks, then all tests in phases, then one line of totals."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from xml.etree import ElementTree

import typer

from cli import check
from cli.page import WEB, ensure_page
from cli.settings import timescale_choice
from cli.stack import CHECKOUT, STATE_FOLDER

WORKERS = 2
"""One per core of the smallest machine; each has servers of its own."""
NO_TESTS = 5
"""pytest's exit code when nothing was collected."""


@dataclass(frozen=True, slots=True)
class Totals:
    """What one pytest run counted."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("test", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(test)


def test(
    context: typer.Context,
    *,
    fast: Annotated[bool, typer.Option(help="No check, no e2e, fewer examples per property.")] = False,
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
    if fuzz:
        os.environ["LATCHKEY_FUZZ_S"] = str(fuzz)
        raise typer.Exit(_pytest(["tests/fuzz", "--timeout", str(fuzz * 2 + 600), *context.args])[0])
    if context.args:
        raise typer.Exit(_pytest(context.args)[0])
    raise typer.Exit(0 if _everything(fast) else 1)


def _everything(fast: bool) -> bool:
    began = time.monotonic()
    checked = fast or check.all_well(lambda line: print(line, flush=True))
    phases = [["-n", str(WORKERS), "--dist", "loadfile", "--ignore", "tests/e2e", "-m", "not e2e"]]
    if not fast:
        if (WEB / "package.json").exists():
            ensure_page()
        phases.append(["-m", "e2e or faults or page"])
    totals = Totals()
    well = checked
    for arguments in phases:
        exit_code, counted = _pytest(["-q", *arguments])
        totals += counted
        well = well and exit_code in (0, NO_TESTS)
    print(
        f"latchkey test: {totals.passed} passed, {totals.failed} failed, {totals.skipped} skipped, "
        f"check {'skipped' if fast else 'ok' if checked else 'FAILED'}, {time.monotonic() - began:.0f} s"
    )
    return well


def _pytest(arguments: Sequence[str]) -> tuple[int, Totals]:
    """Runs pytest in a process of its own; returns its exit code and what it counted."""
    report = STATE_FOLDER / f"tests-{os.getpid()}.xml"
    STATE_FOLDER.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "pytest", f"--junitxml={report}", *arguments]
    try:
        exit_code = subprocess.run(command, cwd=CHECKOUT, check=False).returncode
        return exit_code, read_totals(report)
    finally:
        report.unlink(missing_ok=True)


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
