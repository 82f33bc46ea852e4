"""Counters a test can read."""

from collections import Counter

from firmware_protocol.messages import DeviceId


class FakeCounters:
    """Implements `counters.IngestCounters`."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.only_late_devices: list[DeviceId] = []
        self.lost: list[tuple[DeviceId, int]] = []

    def batch_stored(self, *, rows: int, doubtful: int, doubled: int, newest_received_ms: int) -> None:
        self.counts.update(rows=rows, doubtful=doubtful, doubled=doubled, batches=1)

    def batch_applied(self, *, advanced: int, repeated: int, late: int, announced: int) -> None:
        self.counts.update(advanced=advanced, repeated=repeated, late=late, announced=announced)

    def refused(self, reason: str, count: int) -> None:
        self.refusals[reason] += count

    def beyond_quota(self, device_id: DeviceId, count: int) -> None:
        self.counts["beyond_quota"] += count

    def sightings_beyond(self, device_id: DeviceId, count: int) -> None:
        self.counts["sightings_beyond"] += count

    def receipted(self, count: int) -> None:
        self.counts["receipted"] += count

    def states_mismatched(self, count: int) -> None:
        self.counts["mismatched"] += count

    def only_late(self, device_id: DeviceId) -> None:
        self.only_late_devices.append(device_id)

    def kept_lost(self, device_id: DeviceId, total: int) -> None:
        self.lost.append((device_id, total))

    def welcomed(self, count: int) -> None:
        self.counts["welcomed"] += count

    def newcomer_refused(self, model: str) -> None:
        self.counts["newcomers_refused"] += 1

    def fell_silent(self, *, quiet: int, lost: int) -> None:
        self.counts.update(quiet=quiet, lost=lost)

    def shown_anew(self, count: int) -> None:
        self.counts["shown_anew"] += count

    def used_too_often(self, device_id: DeviceId) -> None:
        self.counts["used_too_often"] += 1

    def shard_rebuilt(self, shard: int, states: int) -> None:
        self.counts.update(rebuilds=1, rebuilt_states=states)
