"""What is written about a report can be joined again, also after a kill."""

from io import StringIO

from device_sim.peek import Label
from device_sim.truth import Done, SentReport, TruthLog, read_executions, read_truth
from firmware_protocol.commands import Command, CommandKind


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


def test_what_was_carried_out_stands_between_the_reports() -> None:
    file = StringIO()
    log = TruthLog(file)
    log.sent("D1", Label(5, 1, True), 10)
    command = Command(bytes(range(16)), 5, 7, 99, CommandKind.UNLOCK)
    log.executed(Done("D1", command, 98_000))
    log.flush()
    lines = file.getvalue().splitlines(keepends=True)
    assert len(read_truth(lines)) == 1
    (execution,) = read_executions([*lines, '{"device":"D1","command":"cut o'])
    assert (execution.command, execution.fence, execution.began_ms) == (bytes(range(16)).hex(), 7, 98_000)
