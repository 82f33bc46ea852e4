"""What ingest counts, as metrics and log events."""

from firmware_protocol.messages import DeviceId
from gateway import telemetry

log = telemetry.logger()


MAX_LOUD = 1_000
"""Devices and models named once each; beyond it all may be named again."""


class MetricCounters:
    """Implements `counters.IngestCounters`."""

    def __init__(self) -> None:
        self._named: set[tuple[str, ...]] = set()

    def batch_stored(self, *, rows: int, doubtful: int, doubled: int, newest_received_ms: int) -> None:
        telemetry.STORED_ROWS.inc(rows + doubtful - doubled)
        if doubtful:
            telemetry.DOUBTFUL.inc(doubtful)
            telemetry.DOUBLED.inc(doubled)
        if newest_received_ms:
            telemetry.NEWEST_COMMITTED.set(newest_received_ms / 1000)

    def batch_applied(self, *, advanced: int, repeated: int, late: int, announced: int) -> None:
        telemetry.series(telemetry.REPORTS, "advanced").inc(advanced)
        if repeated or late:
            telemetry.REPORTS.labels("repeated").inc(repeated)
            telemetry.REPORTS.labels("late").inc(late)
        if announced:
            telemetry.ANNOUNCED.inc(announced)

    def refused(self, reason: str, count: int) -> None:
        telemetry.QUARANTINED.labels(reason).inc(count)

    def beyond_quota(self, device_id: DeviceId, count: int) -> None:
        telemetry.BEYOND_QUOTA.inc(count)
        self._name_once("device_beyond_quota", device=device_id)

    def sightings_beyond(self, device_id: DeviceId, count: int) -> None:
        telemetry.SIGHTINGS_BEYOND.inc(count)
        self._name_once("device_sights_too_many_units", device=device_id)

    def receipted(self, count: int) -> None:
        telemetry.RECEIPTS.inc(count)

    def states_mismatched(self, count: int) -> None:
        telemetry.MISMATCHED.inc(count)

    def only_late(self, device_id: DeviceId) -> None:
        telemetry.ONLY_LATE.inc()
        log.warning("device_sent_only_late_reports", device=device_id)

    def kept_lost(self, device_id: DeviceId, total: int) -> None:
        telemetry.KEPT_LOST.inc()
        log.warning("device_lost_kept_reports", device=device_id, total=total)

    def welcomed(self, count: int) -> None:
        telemetry.WELCOMED.inc(count)

    def newcomer_refused(self, model: str) -> None:
        telemetry.NEWCOMERS_REFUSED.inc()
        self._name_once("model_registers_too_many", model=model)

    def fell_silent(self, *, quiet: int, lost: int) -> None:
        telemetry.FELL_SILENT.labels("quiet").inc(quiet)
        telemetry.FELL_SILENT.labels("lost").inc(lost)

    def shown_anew(self, count: int) -> None:
        telemetry.SHOWN_ANEW.inc(count)

    def used_too_often(self, device_id: DeviceId) -> None:
        telemetry.USED_TOO_OFTEN.inc()
        self._name_once("device_used_too_often", device=device_id)

    def shard_rebuilt(self, shard: int, states: int) -> None:
        telemetry.REBUILDS.inc()
        log.warning("shard_rebuilt", lane=shard, states=states)

    def _name_once(self, event: str, **who: str) -> None:
        named = (event, *who.values())
        if named not in self._named:
            if len(self._named) >= MAX_LOUD:
                self._named.clear()
            self._named.add(named)
            log.warning(event, **who)
