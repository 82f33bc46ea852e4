"""What every device really sent: kept in memory for the audit, written to a file for other judges."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TextIO

from msgspec import Struct

from device_sim.peek import Label

Stamp = tuple[int, int]
"""(boot, seq)"""


class SentReport(Struct, gc=False):
    """One report as a judge sees it, joined from its lines."""

    device_id: str
    boot: int
    seq: int
    kept: bool
    sent_ms: int
    acked_ms: int | None = None
    """When the broker confirmed it; None if it never did."""
    receipted_ms: int | None = None


@dataclass(slots=True)
class DeviceTruth:
    """One device's own memory of what it said."""

    device_id: str
    kind: str
    basic: bool
    skew_ms: int
    newest_stamp: Stamp = (-1, -1)
    newest_frame: bytes = b""
    """Of the reports the broker has confirmed."""
    unconfirmed: set[Stamp] = field(default_factory=set)
    """Sent, and neither confirmed nor given up."""
    outstanding: set[Stamp] = field(default_factory=set)
    """Kept, and not receipted."""
    receipted: set[Stamp] = field(default_factory=set)
    kept_lost: int = 0


class TruthLog:
    """Appends one line of JSON for each report sent, confirmed or receipted, when flushed."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lines: list[str] = []

    def sent(self, device_id: str, label: Label, now_ms: int) -> None:
        kept = "true" if label.keep else "false"
        self._lines.append(
            f'{{"device":"{device_id}","boot":{label.boot},"seq":{label.seq},'
            f'"kept":{kept},"sent_ms":{now_ms}}}\n'
        )

    def acked(self, device_id: str, stamp: Stamp, now_ms: int) -> None:
        self._settled(device_id, stamp, f'"acked_ms":{now_ms}')

    def receipted(self, device_id: str, stamp: Stamp, now_ms: int) -> None:
        self._settled(device_id, stamp, f'"receipted_ms":{now_ms}')

    def flush(self) -> None:
        """Hand everything to the operating system, so that a killed simulator loses at most one tick."""
        if self._lines:
            self._file.write("".join(self._lines))
            self._lines.clear()
            self._file.flush()

    def _settled(self, device_id: str, stamp: Stamp, what: str) -> None:
        self._lines.append(f'{{"device":"{device_id}","boot":{stamp[0]},"seq":{stamp[1]},{what}}}\n')


def read_truth(lines: Iterable[str]) -> dict[tuple[str, int, int], SentReport]:
    """All reports of a truth file; a line cut off by a kill is skipped."""
    reports: dict[tuple[str, int, int], SentReport] = {}
    for line in lines:
        if not line.endswith("}\n"):
            continue
        entry = json.loads(line)
        key = (entry["device"], entry["boot"], entry["seq"])
        if "sent_ms" in entry:
            first = SentReport(*key, kept=entry["kept"], sent_ms=entry["sent_ms"])
            reports.setdefault(key, first)
        elif key in reports:
            report = reports[key]
            report.acked_ms = report.acked_ms or entry.get("acked_ms")
            report.receipted_ms = report.receipted_ms or entry.get("receipted_ms")
    return reports
