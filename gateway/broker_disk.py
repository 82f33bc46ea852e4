"""Room on the broker's disk, where the gateway can see it: the broker itself only logs that it is full."""

import os
from pathlib import Path

from gateway import telemetry

LEAST_FREE_BYTES = 64 * 1024 * 1024
"""The broker writes its whole database anew before it drops the old one; below this a full queue may not fit."""

log = telemetry.logger()


class BrokerDisk:
    """Looks when told to. A broker whose disk is full goes on confirming what it can no longer keep."""

    def __init__(self, folder: Path | None, *, least_free_bytes: int = LEAST_FREE_BYTES) -> None:
        self.reason = ""
        """Why the broker may lose what it has confirmed; empty when all is well, or nothing is known."""
        self._folder = folder
        self._least_free_bytes = least_free_bytes

    def look(self) -> None:
        """Updates `reason` and the metrics; does nothing without a folder."""
        if self._folder is None:
            return
        reason = self._judge(self._folder)
        if bool(reason) != bool(self.reason):
            log.error("broker_disk_short", reason=reason) if reason else log.info("broker_disk_recovered")
        self.reason = reason
        telemetry.BROKER_DISK_ALARM.set(bool(reason))

    def _judge(self, folder: Path) -> str:
        try:
            disk = os.statvfs(folder)
        except OSError as error:
            return f"the broker's folder cannot be looked at: {error.strerror}"
        free_bytes = disk.f_bavail * disk.f_frsize
        telemetry.BROKER_DISK_FREE.set(free_bytes)
        if free_bytes >= self._least_free_bytes:
            return ""
        return (
            f"the broker's disk has {free_bytes // 2**20} MiB left: it goes on confirming what it cannot keep"
        )
