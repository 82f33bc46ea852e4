"""What a measurement prints: metrics, the floors of the same run, their ratios, and whether to believe it."""

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct, field
from rich.console import Console
from rich.table import Table


class Check(Struct, frozen=True):
    """A condition without which no figure of the run counts."""

    name: str
    passed: bool
    detail: str = ""


class Result(Struct):
    """One run of one benchmark."""

    name: str
    metrics: dict[str, float] = field(default_factory=dict)
    """Units are the end of each name: `_us`, `_ms`, `_per_s`, `_share`, `_bytes`, `_count`."""
    floors: dict[str, float] = field(default_factory=dict)
    """The same units, measured in the same run without Latchkey in the way."""
    ratios: dict[str, float] = field(default_factory=dict)
    """Metric over floor: 1.0 is the limit of this machine."""
    checks: list[Check] = field(default_factory=list)

    def check(self, name: str, passed: bool, detail: str = "") -> None:
        """Records a condition."""
        self.checks.append(Check(name, passed, detail))

    def ratio(self, name: str, metric: str, floor: str) -> None:
        """Records metric over floor; a floor of zero was not measured and is an error."""
        self.ratios[name] = self.metrics[metric] / self.floors[floor]

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)


def percentile(sorted_values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile of a sorted, non-empty sequence; NaN of an empty one."""
    if not sorted_values:
        return float("nan")
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))]


def show(result: Result, json_file: Path | None) -> int:
    """Prints the tables, writes the JSON, and returns the exit code: 0 when every check passed."""
    console = Console()
    for title, values in (("metric", result.metrics), ("floor", result.floors), ("ratio", result.ratios)):
        if values:
            table = Table(title, "value", title=f"{result.name}: {title}s", title_justify="left")
            for name, value in values.items():
                table.add_row(name, f"{value:,.3f}" if abs(value) < 100 else f"{value:,.0f}")
            console.print(table)
    for check in result.checks:
        console.print(("[green]ok[/]   " if check.passed else "[red]FAIL[/] ") + check.name, check.detail)
    if json_file is not None:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(result)))
    sys.stdout.flush()
    return 0 if result.passed else 1
