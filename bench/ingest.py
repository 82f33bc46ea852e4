"""The benchmark `ingest`: reports from a thousand connections to history, live state and feed on one machine."""

from pathlib import Path

from bench.ingest_floors import broker_floor, copy_floor, script_floor
from bench.ingest_search import highest_rate
from bench.ingest_trouble import first_report, hello_storm, kill_and_catch_up
from bench.load_rig import LoadRig, LoadRun, load_rig
from bench.result import Result
from cli.stack import Stack

DEVICES = 20_000
RATE_PER_S = 15_000
LOW_RATE_PER_S = 5_000
KILL_RATE_PER_S = 10_000
STORM_DEVICES = 5_000
FLEET_SIZES = (1_000, 200_000)
FLOOR_ROWS = 50_000
MEGABYTE = 1024 * 1024

BOUNDS_US = {"gateway": 28.0, "postgres": 12.0, "redis": 8.0, "mosquitto": 40.0}
"""CPU microseconds per report at the main rate."""

LOW_RATE_GATEWAY_US = 60.0
IDLE_SHARE = 0.15
FEED_P50_MS, FEED_P99_MS = 10.0, 30.0


def measure(stack: Stack, folder: Path, *, seconds: float, search: bool = True) -> Result:
    """`seconds` is the length of the main run; everything else is shorter. Takes about four times as long.

    Before the main run every device reports once: a device's first report is read from the registry and from
    Redis, and what that costs is told apart (`cold_...`) from the steady state.
    """
    result = Result("ingest")
    short_s = max(5.0, seconds / 6)
    with load_rig(stack, folder, devices=DEVICES, registered=max(FLEET_SIZES)) as rig:
        first_report(rig, result)
        _note_cold(result, rig.run(rate_per_s=RATE_PER_S, seconds=DEVICES / RATE_PER_S))
        main = rig.run(rate_per_s=RATE_PER_S, seconds=seconds)
        _note_main(result, main)
        _note_low_rate(result, rig.run(rate_per_s=LOW_RATE_PER_S, seconds=short_s))
        kill_and_catch_up(rig, result, rate_per_s=KILL_RATE_PER_S)
        _note_fleet_sizes(rig, result, short_s)
        hello_storm(rig, result, devices=STORM_DEVICES)
        if search:
            result.metrics["highest_loss_free_per_s"] = highest_rate(rig, known=RATE_PER_S, seconds=short_s)
        rig.gateway.stop()
        _note_floors(rig, result, main, short_s)
    return result


def _note_cold(result: Result, run: LoadRun) -> None:
    """Every device for the first time in the life of this gateway."""
    _note_whole(result, "cold", run)
    result.metrics["cold_gateway_us"] = run.us("gateway")
    result.metrics["cold_feed_p50_ms"] = run.feed["p50_ms"]
    result.metrics["cold_feed_p99_ms"] = run.feed["p99_ms"]


def _note_main(result: Result, run: LoadRun) -> None:
    _note_whole(result, f"{RATE_PER_S:,} reports/s", run)
    metrics = result.metrics
    for name, bound_us in BOUNDS_US.items():
        metrics[f"{name}_us"] = run.us(name)
        _judge(
            result,
            f"{name} CPU per report at most {bound_us:g} us",
            run,
            value=run.us(name),
            bound=bound_us,
            unit="us",
        )
    metrics["generator_us"] = run.us("generator")
    metrics["reports_count"] = run.sent.sent
    metrics["rows_per_batch_count"] = run.batches.rows_per_batch
    metrics["idle_share"] = run.spent.idle_share
    metrics["others_share"] = run.spent.others_share
    _judge(
        result,
        f"at least {IDLE_SHARE:.0%} idle",
        run,
        value=1 - run.spent.idle_share,
        bound=1 - IDLE_SHARE,
        unit="busy",
    )
    for name, bound_ms in (("p50_ms", FEED_P50_MS), ("p99_ms", FEED_P99_MS)):
        metrics[f"feed_{name}"] = run.feed[name]
        _judge(
            result,
            f"report to feed, {name[:3]} at most {bound_ms:g} ms",
            run,
            value=run.feed[name],
            bound=bound_ms,
            unit="ms",
        )
    # What stands in the feed is committed to history: of the same reports, storing took less than this.
    metrics["stored_p99_at_most_ms"] = run.feed["p99_ms"]
    metrics["stored_after_last_s"] = run.stored_within_s
    _judge(result, "no backlog at the end", run, value=run.stored_within_s, bound=1.0, unit="s")
    early, late = run.rss_bytes
    metrics["gateway_rss_early_bytes"], metrics["gateway_rss_bytes"] = early, late
    result.check(
        "gateway memory is flat", late - early < 16 * MEGABYTE, f"{(late - early) / MEGABYTE:+.1f} MiB"
    )


def _note_low_rate(result: Result, run: LoadRun) -> None:
    _note_whole(result, "low rate", run)
    gateway_us = run.us("gateway")
    result.metrics["gateway_us_at_5000_per_s"] = gateway_us
    result.metrics["feed_p50_ms_at_5000_per_s"] = run.feed["p50_ms"]
    result.metrics["feed_p99_ms_at_5000_per_s"] = run.feed["p99_ms"]
    result.metrics["rows_per_batch_at_5000_per_s_count"] = run.batches.rows_per_batch
    name = f"gateway CPU per report at {LOW_RATE_PER_S:,}/s at most {LOW_RATE_GATEWAY_US:g} us"
    _judge(result, name, run, value=gateway_us, bound=LOW_RATE_GATEWAY_US, unit="us")


def _judge(result: Result, name: str, run: LoadRun, *, value: float, bound: float, unit: str) -> None:
    """A check of time or CPU; says how crowded the machine was, because that alone can make it fail."""
    detail = f"{value:.2f} {unit}; others used {run.spent.others_share:.0%} of the machine"
    result.check(name, value <= bound, detail)


def _note_whole(result: Result, what: str, run: LoadRun) -> None:
    result.check(
        f"{what}: every report stored once, live state at the last",
        run.whole and run.sent.acknowledged == run.sent.sent and not run.sent.unmatched,
        f"{run.sent.sent} sent, {run.rows} rows, {run.distinct} distinct, {run.live_matches} live states match",
    )
    result.check(
        f"{what}: the generator kept its times", not run.sent.late_ticks, f"{run.sent.late_ticks} late"
    )


def _note_fleet_sizes(rig: LoadRig, result: Result, seconds: float) -> None:
    """The same rate over a small fleet and over one that fills most of the state cache."""
    costs, others = [], []
    for devices in FLEET_SIZES:
        # First every device once: a state that is not in memory is read once, whatever the size of the fleet.
        rig.run(rate_per_s=RATE_PER_S, seconds=max(1.0, devices / RATE_PER_S), devices=devices)
        run = rig.run(rate_per_s=RATE_PER_S, seconds=seconds, devices=devices)
        result.check(
            f"{devices:,} devices: every report stored once", run.rows == run.distinct == run.sent.sent
        )
        costs.append(run.us("gateway"))
        others.append(f"{run.spent.others_share:.0%}")
        result.metrics[f"gateway_us_with_{devices}_devices"] = costs[-1]
    result.check(
        "gateway CPU per report within 20 % from the smallest to the largest fleet",
        max(costs) < 1.2 * min(costs),
        ", ".join(f"{cost:.1f} us" for cost in costs)
        + f"; others used {' and '.join(others)} of the machine",
    )


def _note_floors(rig: LoadRig, result: Result, main: LoadRun, seconds: float) -> None:
    """Each stage alone, with the batches the main run really had."""
    broker = broker_floor(rig, rate_per_s=RATE_PER_S, seconds=seconds)
    batch_rows = max(1, round(main.batches.rows_per_batch))
    copy = copy_floor(
        rig.dsn, rig.stack.postgres.pid, batch_rows=batch_rows, batches=max(1, FLOOR_ROWS // batch_rows)
    )
    per_shard = max(1, round(batch_rows / 16))
    rounds = max(1, FLOOR_ROWS // (16 * per_shard))
    script = script_floor(
        rig.stack.redis.url(), rig.stack.redis.pid, steps_per_shard=per_shard, rounds=rounds
    )
    result.floors["mosquitto_us"] = broker.server_us
    result.floors["gateway_us"] = broker.client_us + copy.client_us + script.client_us
    result.floors["postgres_us"] = copy.server_us
    result.floors["redis_us"] = script.server_us
    for name in BOUNDS_US:
        result.ratio(f"{name}_us", f"{name}_us", f"{name}_us")
