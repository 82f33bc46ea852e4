"""The benchmark `ingest`: reports from a thousand connections to history, live state and feed on one machine."""

from pathlib import Path

from bench.ingest_floors import broker_floor, copy_floor, script_floor
from bench.ingest_trouble import hello_storm, kill_and_catch_up
from bench.load_rig import LoadRig, LoadRun, load_rig
from bench.result import Result
from cli.stack import Stack

RATE_PER_S = 15_000
LOW_RATE_PER_S = 5_000
KILL_RATE_PER_S = 10_000
STORM_DEVICES = 5_000
FLEET_SIZES = (1_000, 200_000)
SERVERS = ("gateway", "postgres", "redis", "mosquitto")
MEGABYTE = 1024 * 1024


def measure(stack: Stack, folder: Path, *, seconds: float, search: bool = True) -> Result:
    """`seconds` is the length of the main run; everything else is shorter. Takes about four times as long."""
    result = Result("ingest")
    short_s = max(5.0, seconds / 6)
    with load_rig(stack, folder, devices=20_000, registered=max(FLEET_SIZES)) as rig:
        main = rig.run(rate_per_s=RATE_PER_S, seconds=seconds)
        _note_main(result, main)
        low = rig.run(rate_per_s=LOW_RATE_PER_S, seconds=short_s)
        _note_whole(result, "low rate", low)
        result.metrics["gateway_us_at_5000_per_s"] = low.spent.us_per(low.sent.sent, "gateway")
        result.metrics["feed_p50_ms_at_5000_per_s"] = low.feed["p50_ms"]
        result.metrics["feed_p99_ms_at_5000_per_s"] = low.feed["p99_ms"]
        kill_and_catch_up(rig, result, rate_per_s=KILL_RATE_PER_S)
        _note_fleet_sizes(rig, result, short_s)
        hello_storm(rig, result, devices=STORM_DEVICES)
        if search:
            result.metrics["highest_loss_free_per_s"] = _search(rig, short_s)
        rig.gateway.stop()
        _note_floors(rig, result, main, short_s)
    return result


def _note_main(result: Result, run: LoadRun) -> None:
    _note_whole(result, f"{RATE_PER_S:,} reports/s", run)
    count = run.sent.sent
    for name in SERVERS:
        result.metrics[f"{name}_us"] = run.spent.us_per(count, name)
    result.metrics["generator_us"] = run.sent.cpu_s / count * 1e6
    result.metrics["idle_share"] = run.spent.idle_share
    result.metrics["feed_p50_ms"] = run.feed["p50_ms"]
    result.metrics["feed_p99_ms"] = run.feed["p99_ms"]
    result.metrics["stored_after_last_s"] = run.stored_within_s
    result.metrics["reports_count"] = count
    result.metrics["gateway_rss_early_bytes"], result.metrics["gateway_rss_bytes"] = run.rss_bytes
    result.check("no backlog at the end", run.stored_within_s < 1.0, f"{run.stored_within_s:.2f} s")
    early, late = run.rss_bytes
    result.check(
        "gateway memory is flat", late - early < 16 * MEGABYTE, f"{(late - early) / MEGABYTE:+.1f} MiB"
    )


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
    costs = []
    for devices in FLEET_SIZES:
        # First every device once: a state that is not in memory is read once, whatever the size of the fleet.
        rig.run(rate_per_s=RATE_PER_S, seconds=max(1.0, devices / RATE_PER_S), devices=devices)
        run = rig.run(rate_per_s=RATE_PER_S, seconds=seconds, devices=devices)
        result.check(
            f"{devices:,} devices: every report stored once", run.rows == run.distinct == run.sent.sent
        )
        costs.append(run.spent.us_per(run.sent.sent, "gateway"))
        result.metrics[f"gateway_us_with_{devices}_devices"] = costs[-1]
    result.check(
        "gateway CPU per report within 20 % from the smallest to the largest fleet",
        max(costs) < 1.2 * min(costs),
        ", ".join(f"{cost:.1f} us" for cost in costs),
    )


def _search(rig: LoadRig, seconds: float) -> float:
    """The highest rate, in steps of 2,500/s, at which nothing is missing and the backlog ends within a second."""
    best, rate = 0.0, 17_500.0
    while rate <= 60_000:
        try:
            run = rig.run(rate_per_s=rate, seconds=seconds)
        except TimeoutError:
            return best
        if not run.whole or run.stored_within_s > 1.0 or run.sent.late_ticks > seconds * 10:
            return best
        best, rate = rate, rate + 2_500
    return best


def _note_floors(rig: LoadRig, result: Result, main: LoadRun, seconds: float) -> None:
    broker = broker_floor(rig, rate_per_s=RATE_PER_S, seconds=seconds)
    batch_rows = 100
    copy = copy_floor(rig.dsn, rig.stack.postgres.pid, batch_rows=batch_rows, batches=500)
    script = script_floor(
        rig.stack.redis.url(), rig.stack.redis.pid, steps_per_shard=batch_rows // 16 + 1, rounds=500
    )
    result.floors["mosquitto_us"] = broker.server_us
    result.floors["gateway_us"] = broker.client_us + copy.client_us + script.client_us
    result.floors["postgres_us"] = copy.server_us
    result.floors["redis_us"] = script.server_us
    for name in SERVERS:
        result.ratio(f"{name}_us", f"{name}_us", f"{name}_us")
