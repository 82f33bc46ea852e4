"""A report with its place in its device's order and in time."""

from msgspec import Struct

from firmware_protocol.messages import Report, ReportStamp


class StampedReport(Struct, frozen=True, gc=False):
    """What history files and live state applies."""

    report: Report
    boot: int
    seq: int
    """The report's own, or given on arrival where a basic device leaves it out."""
    at_ms: int
    """Row time (Unix ms)."""
    clock_suspect: bool
    received_ms: int
    units: int
    """Rentable units in the slots; 0 for a bike, which is its own unit."""
    spaces: int
    frame: bytes

    @property
    def stamp(self) -> ReportStamp:
        return ReportStamp(self.boot, self.seq)
