"""The fault trials by name: what is broken, under which load, and for how long in the short and the long form."""

from pathlib import Path

from bench.faults import nemeses
from bench.faults.believed import compare_with_history
from bench.faults.findings import Findings
from bench.faults.full_disk import full_disk, why_no_small_disk
from bench.faults.kept_fleet import FleetTruth
from bench.faults.kept_trial import KeptLoad, kept, poison_was_set_aside, reports_were_dropped
from bench.faults.numbering_trials import hostile_clocks, impostors, shuffled_copies
from bench.faults.pressure_trials import backlog, slow_database, unwilling_database
from bench.faults.rig import Rig
from bench.faults.trial import Scene, Trial
from bench.faults.unlock_trials import kills_between_steps, unlock_without_redis, unlocks_under_fire
from cli.child_process import Spawn
from cli.servers.spawn import spawn
from cli.stack import Stack


def _believed(rig: Rig, truth: FleetTruth) -> None:
    compare_with_history(rig)


TRIALS = (
    Trial(
        "kill-gateway",
        "kill -9 of the gateway loses no kept report and stores none twice",
        kept(nemeses.kills_gateway, KeptLoad(rate_per_s=1000), _believed),
        short_s=9.5,
        long_s=60,
    ),
    Trial(
        "kill-broker",
        "kill -9 of the broker loses no kept report, whatever it had confirmed",
        kept(nemeses.kills_broker, KeptLoad(rate_per_s=800)),
        short_s=6,
        long_s=60,
    ),
    Trial(
        "kill-postgres",
        "kill -9 of PostgreSQL or of its backends loses nothing that was receipted",
        kept(nemeses.kills_postgres, KeptLoad(rate_per_s=1000)),
        short_s=6,
        long_s=60,
    ),
    Trial(
        "lose-redis",
        "a Redis that is killed, emptied or restored is rebuilt without a difference, and history does not notice",
        kept(nemeses.kills_redis, KeptLoad(rate_per_s=800, many_devices=10_000), _believed),
        short_s=6,
        long_s=60,
    ),
    Trial(
        "kill-anything",
        "gateway, broker, PostgreSQL and Redis killed at random lose no kept report",
        kept(nemeses.kills_anything, KeptLoad(rate_per_s=500), _believed),
        short_s=8,
        long_s=120,
    ),
    Trial(
        "freeze-postgres",
        "a PostgreSQL that stops answering makes the gateway wait, not lose",
        kept(nemeses.freezes_postgres, KeptLoad(rate_per_s=1000)),
        short_s=6,
        long_s=32,
    ),
    Trial(
        "restart-broker",
        "an orderly restart of the broker loses nothing, and reports flow again",
        kept(nemeses.restarts_broker, KeptLoad(rate_per_s=800)),
        short_s=3,
        long_s=20,
    ),
    Trial(
        "forgetful-broker",
        "a broker that lost its database is noticed and subscribed to again",
        kept(nemeses.deletes_broker_database, KeptLoad(rate_per_s=800)),
        short_s=3,
        long_s=20,
    ),
    Trial(
        "lossy-network",
        "one report in a hundred never reaches the broker: a receipt names only what is committed",
        kept(nemeses.does_nothing, KeptLoad(rate_per_s=800, drop_share=0.01), reports_were_dropped),
        short_s=3,
        long_s=30,
    ),
    Trial(
        "ten-copies",
        "ten copies of every report in any order are one row each, and counted",
        shuffled_copies,
        short_s=3,
        long_s=50,
    ),
    Trial(
        "poison",
        "frames that are not frames are set aside, each once, and hurt no other",
        kept(nemeses.sends_too_much, KeptLoad(rate_per_s=1500, poison_share=0.01), poison_was_set_aside),
        short_s=3,
        long_s=30,
    ),
    Trial(
        "unwilling-database",
        "a row that PostgreSQL refuses is set aside and takes no other row of its batch down",
        unwilling_database,
        short_s=3,
        long_s=60,
    ),
    Trial(
        "power-loss",
        "devices that lose power keep what their flash holds, and no boot number returns",
        kept(
            nemeses.does_nothing,
            KeptLoad(rate_per_s=500, lose_power_every_s=0.1, device_clock_speed=10.0),
            _believed,
        ),
        short_s=4,
        long_s=60,
    ),
    Trial(
        "impostors",
        "neither old boots nor invented ones nor clones move a live state or get a receipt",
        impostors,
        short_s=2,
        long_s=40,
    ),
    Trial(
        "hostile-clocks",
        "clocks in 1970 or in ten years make no partitions, refuse no batch and change no order",
        hostile_clocks,
        short_s=5,
        long_s=50,
    ),
    Trial(
        "backlog",
        "what waited for the gateway is drained fast and makes nobody online",
        backlog,
        short_s=10,
        long_s=100,
    ),
    Trial(
        "slow-database",
        "a database that takes its time fills no memory, drops nothing and misses no keep-alive",
        slow_database,
        short_s=10,
        long_s=100,
    ),
    Trial(
        "full-disk",
        "a full disk stops receipts, not the gateway; with room again everything is stored",
        full_disk,
        short_s=3,
        long_s=20,
        unfit=why_no_small_disk,
    ),
    Trial(
        "unlocks-under-fire",
        "whatever is killed, every command ends, and no bike opens twice, late, or for an old one",
        unlocks_under_fire,
        short_s=4,
        long_s=60,
    ),
    Trial(
        "unlock-without-redis",
        "without Redis every unlock is carried out all the same",
        unlock_without_redis,
        short_s=0,
        long_s=30,
    ),
    Trial(
        "kill-between-steps",
        "a gateway killed after any step of an unlock leaves it to the next one, which ends it",
        kills_between_steps,
        short_s=0,
        long_s=360,
    ),
)
"""In the order in which they run."""


def run_trial(
    trial: Trial, stack: Stack, folder: Path, *, seconds: float, seed: int, spawn: Spawn = spawn
) -> Findings:
    """Plays it; raises what an honest rig would not raise."""
    return trial.play(Scene(stack, folder, seconds, seed, spawn))
