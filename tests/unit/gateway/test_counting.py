"""What ingest counts becomes metrics."""

from firmware_protocol.messages import DeviceId
from gateway.counters import IngestCounters
from gateway.counting import MetricCounters
from gateway.telemetry import REGISTRY


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"latchkey_{name}", labels) or 0.0


def test_every_count_moves_its_metric() -> None:
    counters: IngestCounters = MetricCounters()
    names = {
        "stored_rows_total": 8.0,
        "doubled_rows_total": 2.0,
        "announced_changes_total": 4.0,
        "receipts_total": 6.0,
        "mismatched_states_total": 1.0,
        "only_late_devices_total": 1.0,
        "kept_lost_alarms_total": 1.0,
        "welcomed_hellos_total": 5.0,
        "feed_rebuilds_total": 1.0,
        "sightings_beyond_quota_total": 7.0,
        "reports_beyond_quota_total": 2.0,
        "refused_newcomers_total": 1.0,
    }
    before = {name: value(name) for name in names}
    late = value("reports_total", outcome="late")
    lost = value("silent_devices_total", presence="lost")
    reused = value("quarantined_frames_total", reason="stamp_reused")
    counters.batch_stored(rows=7, doubtful=3, doubled=2, newest_received_ms=1_790_000_000_500)
    counters.batch_applied(advanced=7, repeated=2, late=1, announced=4)
    counters.refused("stamp_reused", 3)
    counters.receipted(6)
    counters.states_mismatched(1)
    counters.only_late(DeviceId("bike-1"))
    counters.kept_lost(DeviceId("bike-1"), 9)
    counters.sightings_beyond(DeviceId("cab-1"), 7)
    counters.newcomer_refused("guest")
    counters.beyond_quota(DeviceId("cab-1"), 2)
    counters.welcomed(5)
    counters.fell_silent(quiet=2, lost=1)
    counters.shard_rebuilt(7, 100)
    assert {name: value(name) - before[name] for name in names} == names
    assert value("reports_total", outcome="late") - late == 1
    assert value("silent_devices_total", presence="lost") - lost == 1
    assert value("quarantined_frames_total", reason="stamp_reused") - reused == 3
    assert value("newest_committed_timestamp_seconds") == 1_790_000_000.5
