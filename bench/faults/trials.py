"""The fault trials by name: what is broken, under which load, and for how long in the short and the long form."""

from pathlib import Path
from random import Random

from msgspec import Struct

from bench.faults import nemeses
from bench.faults.kept_fleet import FleetTruth
from bench.faults.nemeses import Nemesis
from bench.faults.rig import rigged
from bench.faults.verdict import Verdict, judge, stored_stamps
from cli.stack import Stack


class Trial(Struct, frozen=True):
    """One way to break a running system."""

    name: str
    law: str
    """The promise, in a sentence."""
    nemesis: Nemesis
    rate_per_s: float
    short_s: float
    long_s: float
    devices: int = 200
    drop_share: float = 0.0
    copies: int = 1
    poison_share: float = 0.0
    lose_power_every_s: float = 0.0


class Outcome(Struct, frozen=True):
    """What a trial came to."""

    trial: str
    strikes: int
    verdict: Verdict
    truth: FleetTruth
    gateway_rss_bytes: int

    def __str__(self) -> str:
        memory = f"gateway at most {self.gateway_rss_bytes / 2**20:.0f} MiB"
        drained = f"drained in {self.truth.drained_in_s:.1f} s"
        unheard = f"{self.truth.unmatched} confirmed without a reader"
        return f"{self.strikes} strikes, {self.verdict}; {drained}, {unheard}, {memory}"


TRIALS = (
    Trial(
        "kill-gateway",
        "kill -9 of the gateway loses no kept report and stores none twice",
        nemeses.kills_gateway,
        rate_per_s=1500,
        short_s=12,
        long_s=60,
    ),
    Trial(
        "kill-broker",
        "kill -9 of the broker loses no kept report, whatever it had confirmed",
        nemeses.kills_broker,
        rate_per_s=800,
        short_s=10,
        long_s=60,
    ),
    Trial(
        "kill-postgres",
        "kill -9 of PostgreSQL or of its backends loses nothing that was receipted",
        nemeses.kills_postgres,
        rate_per_s=1500,
        short_s=10,
        long_s=60,
    ),
    Trial(
        "kill-redis",
        "a Redis that loses everything is rebuilt, and history does not notice",
        nemeses.kills_redis,
        rate_per_s=800,
        short_s=8,
        long_s=60,
    ),
    Trial(
        "kill-anything",
        "gateway, broker, PostgreSQL and Redis killed at random lose no kept report",
        nemeses.kills_anything,
        rate_per_s=500,
        short_s=15,
        long_s=120,
    ),
    Trial(
        "freeze-postgres",
        "a PostgreSQL that stops answering makes the gateway wait, not lose",
        nemeses.freezes_postgres,
        rate_per_s=1000,
        short_s=10,
        long_s=32,
    ),
    Trial(
        "restart-broker",
        "an orderly restart of the broker loses nothing, and reports flow again",
        nemeses.restarts_broker,
        rate_per_s=800,
        short_s=6,
        long_s=20,
    ),
    Trial(
        "forgetful-broker",
        "a broker that lost its database is noticed and subscribed to again",
        nemeses.deletes_broker_database,
        rate_per_s=800,
        short_s=6,
        long_s=20,
    ),
    Trial(
        "lossy-network",
        "one report in a hundred never reaches the broker: a receipt names only what is committed",
        nemeses.does_nothing,
        rate_per_s=800,
        short_s=6,
        long_s=30,
        drop_share=0.01,
    ),
    Trial(
        "ten-copies",
        "every report ten times is one row each",
        nemeses.does_nothing,
        rate_per_s=300,
        short_s=6,
        long_s=60,
        copies=10,
    ),
    Trial(
        "poison",
        "frames that are not frames are set aside and hurt no other",
        nemeses.does_nothing,
        rate_per_s=1500,
        short_s=6,
        long_s=30,
        poison_share=0.01,
    ),
    Trial(
        "power-loss",
        "devices that lose power keep what their flash holds, and no boot number returns",
        nemeses.does_nothing,
        rate_per_s=500,
        short_s=8,
        long_s=60,
        lose_power_every_s=0.1,
    ),
)
"""In the order in which they run."""

DRAIN_S = 120.0
"""Long beyond every back-off of a device whose clock runs ten times as fast; a busy machine may need it."""


def run_trial(trial: Trial, stack: Stack, folder: Path, *, seconds: float, seed: int) -> Outcome:
    """Breaks, heals, waits until the devices have what they were promised, and judges."""
    with (
        rigged(stack, folder, devices=trial.devices) as rig,
        rig.fleet(
            rate_per_s=trial.rate_per_s,
            seconds=seconds,
            drain_s=DRAIN_S,
            seed=seed,
            drop_share=trial.drop_share,
            copies=trial.copies,
            poison_share=trial.poison_share,
            lose_power_every_s=trial.lose_power_every_s,
        ) as fleet,
    ):
        strikes = trial.nemesis(rig, Random(seed), seconds)
        truth = fleet.conclude(within_s=seconds + DRAIN_S + 60)
        verdict = judge(truth, stored_stamps(rig.dsn))
        return Outcome(trial.name, strikes, verdict, truth, rig.peak_gateway_rss_bytes())
