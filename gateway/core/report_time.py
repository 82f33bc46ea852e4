"""When a report happened, as a pure function of the report and of when it came."""

from msgspec import Struct

from firmware_protocol.messages import Report

MINUTE_MS = 60_000
DAY_MS = 86_400_000

MAX_BEFORE_BOOT_MS = 30 * DAY_MS
"""A ring of kept reports from before the boot; raw history of 90 days still holds them."""

MAX_AFTER_BOOT_MS = 8 * DAY_MS
"""A device says a fresh hello after 7 days; one day for those that are offline on that day."""

MAX_AGE_MS = 30 * DAY_MS
"""A basic device's clock is believed this far back from receipt."""

MAX_AHEAD_MS = 10 * MINUTE_MS
"""A basic device's clock is believed this far ahead of receipt."""


class RowTime(Struct, frozen=True, gc=False):
    """The time history files a report under."""

    at_ms: int
    clock_suspect: bool
    """The device's own statement was out of bounds and is not what stands here."""


def row_time(report: Report, received_ms: int) -> RowTime:
    """Full devices: from the frame alone, so the same frame always gives the same row. Basic ones: their own
    clock when it is plausible against receipt, else the time of receipt."""
    if report.boot:
        return _time_since_boot(report)
    reported_at_ms = report.reported_at_ms
    if reported_at_ms is None:
        return RowTime(received_ms, False)
    if received_ms - MAX_AGE_MS <= reported_at_ms <= received_ms + MAX_AHEAD_MS:
        return RowTime(reported_at_ms, False)
    return RowTime(received_ms, True)


def _time_since_boot(report: Report) -> RowTime:
    boot_ms = report.boot * 1000
    since_boot_ms = report.elapsed_ms
    if since_boot_ms is None:
        since_boot_ms = (report.reported_at_ms or 0) - boot_ms
    if since_boot_ms < -MAX_BEFORE_BOOT_MS:
        return RowTime(boot_ms - MAX_BEFORE_BOOT_MS, True)
    if since_boot_ms > MAX_AFTER_BOOT_MS:
        return RowTime(boot_ms + MAX_AFTER_BOOT_MS, True)
    return RowTime(boot_ms + since_boot_ms, False)
