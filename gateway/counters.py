"""What ingest counts, for whoever shows it."""

from typing import Protocol

from firmware_protocol.messages import DeviceId


class IngestCounters(Protocol):
    """Called once per batch or per rare happening, never per report; must not block or raise."""

    def batch_stored(self, *, rows: int, doubtful: int, doubled: int, newest_received_ms: int) -> None:
        """A transaction of history is committed: rows by COPY, rows that went through staging, and how many
        of the latter were there already."""

    def batch_applied(self, *, advanced: int, repeated: int, late: int, announced: int) -> None:
        """What the reports of a batch did to live state."""

    def refused(self, reason: str, count: int) -> None:
        """Frames not stored as reports, by the reason their quarantine row names."""

    def beyond_quota(self, device_id: DeviceId, count: int) -> None:
        """Reports of one read that their devices had no room for; one of these devices."""

    def sightings_beyond(self, device_id: DeviceId, count: int) -> None:
        """Places of units that their devices had no room for in this hour; one of these devices."""

    def receipted(self, count: int) -> None:
        """Kept reports named in receipts."""

    def states_mismatched(self, count: int) -> None:
        """Live states another writer had changed in between."""

    def only_late(self, device_id: DeviceId) -> None:
        """For three heartbeats the device has sent nothing but late reports: its numbering went back."""

    def kept_lost(self, device_id: DeviceId, total: int) -> None:
        """The device says that it had to drop kept reports since it was asked last; `total` in its life."""

    def welcomed(self, count: int) -> None:
        """Hellos that were answered."""

    def newcomer_refused(self, model: str) -> None:
        """An unknown device of a model that has registered enough by itself in this hour."""

    def fell_silent(self, *, quiet: int, lost: int) -> None:
        """Devices a presence sweep found silent."""

    def shown_anew(self, count: int) -> None:
        """Bikes that were used and are shown under another public id."""

    def used_too_often(self, device_id: DeviceId) -> None:
        """It says that it was used more often than there are public ids for in an hour, and waits."""

    def shard_rebuilt(self, shard: int, states: int) -> None:
        """A shard of live states was lost and is whole again."""
