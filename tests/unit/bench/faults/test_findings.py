"""What a trial came to is told whole: each broken promise, and the worst of each figure."""

from bench.faults.findings import Findings


def test_the_worst_value_of_a_figure_is_kept_and_patience_stretches_only_time() -> None:
    findings = Findings()
    for value in (1.0, 4.0, 2.0):
        findings.measure("resumed, s", value, at_most=3.0)
        findings.measure("grown, MiB", value, at_most=3.0, timed=False)
    assert findings.broken() == ["resumed, s 4 (at most 3)", "grown, MiB 4 (at most 3)"]
    assert findings.broken(patience=2.0) == ["grown, MiB 4 (at most 3)"]


def test_a_difference_and_a_count_are_told_with_an_example() -> None:
    findings = Findings()
    findings.expect("rows", 9, 10)
    findings.expect("receipts", 5, 5)
    findings.count("differences", 2, "bike-1")
    findings.count("differences", 1, "bike-2")
    findings.take({"lost": 0, "doubled": 1}, {"doubled": "bike-3"})
    assert findings.broken() == ["rows: 1 9 instead of 10", "differences: 3 bike-1", "doubled: 1 bike-3"]
