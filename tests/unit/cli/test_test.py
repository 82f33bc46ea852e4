from pathlib import Path

from cli.test import Totals, read_totals

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
