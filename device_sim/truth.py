"""What every device really sent: kept in memory for the audit, written to a file for other judges."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, TextIO

import msgspec
from msgspec import Struct

from device_sim.peek import Label
from firmware_protocol.commands import Command

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
    unreceipted: int = 0
    """Kept reports the device was left with, those that never left it among them."""
    in_ring: frozenset[Stamp] = frozenset()
    """The stamped ones of them: it did not drop these."""


class Done(NamedTuple):
    """One physical act, for judges."""

    device_id: str
    command: Command
    began_ms: int
    """Unix milliseconds when the device took the command; the motor ended up to a second and a half later."""


class Execution(Struct, frozen=True):
    """One physical act, as its line says."""

    device: str
    command: str
    """The command id, as hexadecimal digits."""
    kind: int
    slot: int
    fence: int
    not_after_s: int
    began_ms: int
    """Unix milliseconds when the device took it."""


class TruthLog:
    """Appends one line of JSON for each report sent, confirmed or receipted and each command carried out, when
    flushed."""

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

    def executed(self, done: Done) -> None:
        command = done.command
        self._lines.append(
            f'{{"device":"{done.device_id}","command":"{command.command_id.hex()}","kind":{int(command.kind)},'
            f'"slot":{command.slot},"fence":{command.fence},"not_after_s":{command.not_after_s},'
            f'"began_ms":{done.began_ms}}}\n'
        )

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
        if "command" in entry:
            continue
        key = (entry["device"], entry["boot"], entry["seq"])
        if "sent_ms" in entry:
            first = SentReport(*key, kept=entry["kept"], sent_ms=entry["sent_ms"])
            reports.setdefault(key, first)
        elif key in reports:
            report = reports[key]
            report.acked_ms = report.acked_ms or entry.get("acked_ms")
            report.receipted_ms = report.receipted_ms or entry.get("receipted_ms")
    return reports


def read_executions(lines: Iterable[str]) -> list[Execution]:
    """All executions of a truth file, in their order."""
    return [
        msgspec.json.decode(line, type=Execution)
        for line in lines
        if '"command":' in line and line.endswith("}\n")
    ]
