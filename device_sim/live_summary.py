"""The running figures of a simulation in a terminal: a table that stays in place, or plain lines."""

from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table

from device_sim.ledger import Summary
from device_sim.run import Progress

PLAIN_EVERY_S = 5.0
"""Between two lines where nobody watches."""


def plain_line(progress: Progress) -> str:
    """One line for a log."""
    summary = progress.summary
    return (
        f"{progress.seconds:7.1f} s  connected {summary.connected}/{summary.devices}"
        f"  {progress.rate_per_s:.0f} reports/s  sent {summary.sent}  confirmed {summary.acked}"
        f"  kept without receipt {progress.open_count}  receipted {summary.receipted}"
    )


def rows(summary: Summary) -> list[tuple[str, str]]:
    """What the table and the end of a run say."""
    faults = summary.faults
    found = [
        ("devices connected", f"{summary.connected} of {summary.devices}"),
        ("reports sent", f"{summary.sent} ({summary.resent} times again)"),
        ("confirmed by the broker", str(summary.acked)),
        ("kept / receipted", f"{summary.kept} / {summary.receipted}"),
        ("kept without receipt", str(summary.kept_outstanding)),
        ("dropped on the air", str(summary.dropped)),
        ("heard by nobody / refused", f"{summary.unheard} / {summary.refused}"),
        ("disconnects / refused connects", f"{summary.disconnects} / {summary.refused_connects}"),
        ("PUBACK p50 / p99", f"{_ms(summary.puback_p50_ms)} / {_ms(summary.puback_p99_ms)}"),
        (
            "faults",
            f"lost {faults.lost}, doubled {faults.duplicated}, late {faults.delayed}, "
            f"reboots {faults.reboots}, offline {faults.offline_spells}",
        ),
    ]
    if summary.overlapping_trips or summary.jumped_trips:
        found.append(("trips that overlap / jump", f"{summary.overlapping_trips} / {summary.jumped_trips}"))
    return found


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"


class LiveSummary:
    """Shows progress while a run lasts."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4) if console.is_terminal else None
        self._told_s = -PLAIN_EVERY_S

    def __enter__(self) -> "LiveSummary":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def tell(self, progress: Progress) -> None:
        """The latest figures."""
        if self._live is not None:
            title = f"{progress.seconds:.0f} s, {progress.rate_per_s:.0f} reports/s"
            self._live.update(_table(title, progress.summary))
        elif progress.seconds - self._told_s >= PLAIN_EVERY_S:
            self._told_s = progress.seconds
            self._console.print(plain_line(progress), highlight=False, soft_wrap=True)

    def conclude(self, summary: Summary) -> None:
        """The figures of the whole run."""
        self._console.print(_table(f"after {summary.seconds:.1f} s", summary))


def _table(title: str, summary: Summary) -> Table:
    table = Table(title=title, title_justify="left", show_header=False, box=None)
    for name, value in rows(summary):
        table.add_row(name, value)
    return table
