"""Every metric and every log event of the gateway process, declared once."""

import logging
import sys
from typing import Any, Final, TypeVar

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector
from structlog.processors import ExceptionRenderer
from structlog.tracebacks import ExceptionDictTransformer

REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

LATENCY_BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
COMMAND_BUCKETS_S = (0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0)
ROW_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)


def _counter(name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
    return Counter(f"latchkey_{name}", text, labels, registry=REGISTRY)


def _gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
    return Gauge(f"latchkey_{name}", text, labels, registry=REGISTRY)


def _histogram(name: str, text: str, buckets: tuple[float, ...], labels: tuple[str, ...] = ()) -> Histogram:
    return Histogram(f"latchkey_{name}", text, labels, registry=REGISTRY, buckets=buckets)


# --- reports -------------------------------------------------------------------------------------
REPORTS = _counter("reports", "Reports stored, applied and acknowledged, by outcome", ("outcome",))
STORED_ROWS = _counter("stored_rows", "Rows committed to history")
DOUBTFUL = _counter("doubtful_rows", "Rows that might have been there already and went through staging")
DOUBLED = _counter("doubled_rows", "Rows that history had already, byte for byte")
QUARANTINED = _counter("quarantined_frames", "Frames put aside for a person, by reason", ("reason",))
MALFORMED_DROPPED = _counter(
    "dropped_malformed_frames", "Malformed frames beyond what may wait for a store that is away: not kept"
)
BEYOND_QUOTA = _counter(
    "reports_beyond_quota",
    "Reports beyond LATCHKEY_REPORTS_PER_DEVICE: acknowledged, not stored",
)
SIGHTINGS_BEYOND = _counter(
    "sightings_beyond_quota", "Places of units beyond what one device may note in an hour: not stored"
)
ANNOUNCED = _counter("announced_changes", "Changes of live state that maps were told of")
MISMATCHED = _counter("mismatched_states", "Live states another writer had changed in between")
ONLY_LATE = _counter("only_late_devices", "Devices whose numbering went back, so that all they say is late")
KEPT_LOST = _counter(
    "kept_lost_alarms", "Devices that said that they had to drop kept reports, each once an hour"
)
RECEIPTS = _counter("receipts", "Kept reports named in receipts")
BATCH_ROWS = _histogram("batch_rows", "Reports or hellos per batch", ROW_BUCKETS, ("of",))
BATCH_SECONDS = _histogram(
    "batch_seconds", "From taking a batch to its acknowledgement", LATENCY_BUCKETS_S, ("of",)
)
BATCHES_REPEATED = _counter("batches_repeated", "Attempts to store a batch that failed and were repeated")
PENDING_REPORTS = _gauge("pending_reports", "Reports read and not yet acknowledged")
PENDING_BYTES = _gauge("pending_bytes", "Bytes read and not yet acknowledged")
NEWEST_COMMITTED = _gauge("newest_committed_timestamp_seconds", "Receipt of the newest committed report")
COMMIT_LAG = _gauge("commit_lag_seconds", "How long the oldest report that is not acknowledged has waited")

# --- stores --------------------------------------------------------------------------------------
STORE_SECONDS = _histogram("store_seconds", "One call to a store", LATENCY_BUCKETS_S, ("call",))
STORE_AWAY = _gauge("store_away", "1 while a store does not answer", ("store",))
REBUILDS = _counter("feed_rebuilds", "Shards rebuilt because Redis had lost them")
TRIMS = _counter("history_trims", "Maintenance of the history, by result", ("result",))

# --- hello and presence --------------------------------------------------------------------------
WELCOMED = _counter("welcomed_hellos", "Hellos that were answered")
NEWCOMERS_REFUSED = _counter(
    "refused_newcomers", "Hellos of unknown devices beyond LATCHKEY_REGISTRATIONS_PER_HOUR of their model"
)
HELLOS_DROPPED = _counter("dropped_hellos", "Hellos beyond the bound; their devices repeat them")
ACKS_DROPPED = _counter("dropped_acks", "Acks beyond the bound; evidence settles what they were about")
SHOWN_ANEW = _counter("public_ids_given", "Bikes shown under another public id after they were used")
USED_TOO_OFTEN = _counter(
    "used_too_often", "Reports of bikes that had all public ids of this hour and wait for the next"
)
FELL_SILENT = _counter("silent_devices", "Devices that a sweep found quiet or lost", ("presence",))
DEVICES = _gauge(
    "devices", "Devices whose live state this gateway holds in memory, by presence", ("presence",)
)
UNHEARD = _counter(
    "unheard_messages", "Not looked at: on channels of devices, or beyond the hellos and acks of one device"
)

# --- commands ------------------------------------------------------------------------------------
COMMANDS = _counter(
    "commands", "Commands that are settled, or unconfirmed for now, by kind and phase", ("kind", "phase")
)
COMMAND_SECONDS = _histogram(
    "command_seconds",
    "From issue to a confirmed end, by model and firmware; those beyond the first few are `other`",
    COMMAND_BUCKETS_S,
    ("model", "firmware"),
)
INCIDENTS = _counter("command_incidents", "What must never happen, and did, by kind", ("kind",))
BAD_ACKS = _counter("refused_acks", "Acks that prove nothing, by reason", ("reason",))
COMMAND_FRAMES = _counter(
    "command_frames", "Frames of commands handed to the broker: first ones and repetitions", ("copy",)
)
COMMANDS_OPEN = _gauge("commands_open", "Commands of the lanes of this gateway that wait for their end")

# --- broker --------------------------------------------------------------------------------------
LINKS_LIVE = _gauge("links_live", "MQTT sessions that are subscribed now", ("role",))
LINK_ENDS = _counter("link_ends", "Connections to the broker that ended, by role", ("role",))
SESSION_INCIDENTS = _counter(
    "session_incidents", "Sessions the broker had forgotten or another client took", ("kind",)
)
PUBLISHED = _counter("published_messages", "Welcomes and receipts handed to the broker")
UNPUBLISHED = _counter(
    "unpublished_messages", "Welcomes and receipts dropped because the link was away or full"
)
LANES_HELD = _gauge("lanes_held", "Lanes whose lease is held")
LANES_PARKED = _gauge("lanes_parked", "Lanes given up because another client keeps taking them")
BROKER = _gauge("broker", "The broker's own counters", ("counter",))
BROKER_DISK_FREE = _gauge("broker_disk_free_bytes", "Room on the disk of the broker, where it can be seen")
BROKER_DISK_ALARM = _gauge("broker_disk_alarm", "1 while the broker may not be able to keep what it confirms")
BROKER_EXPORTS = _counter(
    "broker_exports", "Looks at what the broker must know of devices, by result", ("result",)
)
QUEUE_ALARM = _gauge("broker_queue_alarm", "1 while the broker queues more than half of what it may")

FIRST_OBSERVATIONS = (
    *(REPORTS.labels(outcome) for outcome in ("advanced", "repeated", "late")),
    *(SESSION_INCIDENTS.labels(kind) for kind in ("lost", "taken_over")),
    *(STORE_AWAY.labels(store) for store in ("postgres", "redis")),
    *(BROKER_EXPORTS.labels(result) for result in ("written", "unchanged", "failed")),
    *(
        INCIDENTS.labels(kind)
        for kind in (
            *("executed_late", "executed_twice", "executed_after_all"),
            *("evidence_contradicts_ack", "ack_without_command"),
        )
    ),
    *(LINKS_LIVE.labels(role) for role in ("report", "now", "broker")),
)
"""Series that exist from the start, so that their first rise is a rise."""


Metric = TypeVar("Metric", Counter, Gauge, Histogram)

_series: dict[tuple[object, ...], Any] = {}


def series(metric: Metric, *labels: str) -> Metric:
    """`metric.labels(...)` without its lock and its checks at every call. For labels that come again and are few."""
    found: Metric | None = _series.get((metric, *labels))
    if found is None:
        found = _series[metric, *labels] = metric.labels(*labels)
    return found


def configure_logs(level: str) -> None:
    """JSON lines on stderr. `level` is a name of the logging module, in capitals."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            # Never the values of variables: passwords are among them, and whole batches of frames.
            ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def logger() -> Any:
    """The process's logger; events in the past tense, never one per report."""
    return structlog.get_logger()
