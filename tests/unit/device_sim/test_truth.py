"""What is written about a report can be joined again, also after a kill."""

from io import StringIO

from device_sim.peek import Label
from device_sim.truth import SentReport, TruthLog, read_truth


def test_lines_join_to_reports_and_a_cut_line_is_skipped() -> None:
    file = StringIO()
    log = TruthLog(file)
    log.sent("A", Label(5, 1, True), 100)
    log.sent("A", Label(5, 2, False), 110)
    log.acked("A", (5, 1), 120)
    assert file.getvalue() == "", "lines wait for the flush"
    log.flush()
    log.receipted("A", (5, 1), 130)
    log.sent("A", Label(5, 1, True), 900)
    log.flush()
    text = file.getvalue() + '{"device":"A","boot":5,"se'
    assert read_truth(StringIO(text)) == {
        ("A", 5, 1): SentReport("A", 5, 1, True, 100, 120, 130),
        ("A", 5, 2): SentReport("A", 5, 2, False, 110),
    }
