"""People see a table, logs see lines."""

from io import StringIO

from rich.console import Console

from device_sim.ledger import Summary
from device_sim.live_summary import LiveSummary, plain_line, rows
from device_sim.run import Progress


def progress(seconds: float) -> Progress:
    return Progress(Summary(10, connected=9, sent=100, acked=98, kept=7), seconds, 50.0, 3)


def test_a_log_gets_a_line_now_and_then() -> None:
    out = StringIO()
    with LiveSummary(Console(file=out, width=200)) as live:
        for tenth in range(120):
            live.tell(progress(tenth / 10))
    lines = out.getvalue().splitlines()
    assert lines == [plain_line(progress(seconds)) for seconds in (0.0, 5.0, 10.0)]


def test_a_terminal_gets_a_table_and_a_conclusion() -> None:
    out = StringIO()
    console = Console(file=out, width=100, force_terminal=True)
    with LiveSummary(console) as live:
        live.tell(progress(3.0))
    live.conclude(progress(3.0).summary)
    assert "9 of 10" in out.getvalue()


def test_trips_are_named_only_in_a_replay() -> None:
    names = [name for name, _ in rows(Summary(1, jumped_trips=2))]
    assert any("jump" in name for name in names)
    assert not any("jump" in name for name, _ in rows(Summary(1)))
