"""Who breaks what, how often: each nemesis acts until its time is up and leaves everything running again."""

import time
from collections.abc import Callable
from random import Random

from bench.faults.flood import is_thrown_out
from bench.faults.rig import Rig
from bench.faults.waiting import pass_time, wait_for
from cli.servers.private_server import NotYet
from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import SHARDS, report_topic

Nemesis = Callable[[Rig, Random, float], int]
"""Breaks things for that many seconds; returns how often it struck."""


MIN_GATEWAY_KILLS = 8
"""A busy machine strikes less often, then it strikes for longer."""


def _strikes(
    chance: Random, seconds: float, *, every_s: float, strike: Callable[[], None], at_least: int = 0
) -> int:
    """Strikes at uneven times, about every `every_s`; a strike's own time counts."""
    begin_s, count = time.monotonic(), 0
    while True:
        next_s = begin_s + (count + chance.uniform(0.4, 1.0)) * every_s
        if max(next_s, time.monotonic()) > begin_s + seconds and count >= at_least:
            return count
        pass_time(next_s)
        strike()
        count += 1


def kills_gateway(rig: Rig, chance: Random, seconds: float) -> int:
    """kill -9 of the gateway, started again at once."""
    at_least = MIN_GATEWAY_KILLS if seconds > MIN_GATEWAY_KILLS else 0
    return _strikes(chance, seconds, every_s=1.1, strike=rig.kill_gateway, at_least=at_least)


def kills_broker(rig: Rig, chance: Random, seconds: float) -> int:
    """kill -9 of mosquitto, started again on the same folder."""

    def strike() -> None:
        rig.stack.broker.kill()
        rig.stack.broker.start()

    return _strikes(chance, seconds, every_s=1.6, strike=strike)


def kills_postgres(rig: Rig, chance: Random, seconds: float) -> int:
    """kill -9 of the whole PostgreSQL, or of one of its backends (which makes it recover all the same)."""
    end_s = time.monotonic() + seconds

    def strike() -> None:
        if chance.random() < 0.5:
            rig.kill_a_backend()
            wait_for("an accepting PostgreSQL", lambda: _accepts(rig))
        else:
            rig.stack.postgres.kill()
            rig.stack.postgres.start()
        # Later the devices may have said everything, so that no commit is a good sign.
        if time.monotonic() < end_s - 1.0:
            rig.findings.measure(
                "first commit after PostgreSQL accepts, s", rig.wait_for_new_rows(), at_most=5.0
            )

    return _strikes(chance, seconds, every_s=1.6, strike=strike)


def _accepts(rig: Rig) -> bool:
    try:
        rig.stack.postgres.ask()
    except NotYet:
        return False
    return True


def kills_redis(rig: Rig, chance: Random, seconds: float) -> int:
    """Redis killed (it keeps nothing on disk), emptied, or found with what another server life left in it."""
    return _strikes(chance, seconds, every_s=2.0, strike=lambda: lose_redis(rig, chance))


def lose_redis(rig: Rig, chance: Random) -> None:
    """Loses what Redis holds in one of three ways, and waits until it is whole again."""
    match chance.choice(("kill", "flush", "restore")):
        case "kill":
            rig.stack.redis.kill()
            rig.stack.redis.start()
        case "flush":
            with rig.redis() as client:
                client.flushall()
        case "restore":
            with rig.redis() as client:
                for shard in range(SHARDS):
                    client.set(f"lk:{{{shard:02x}}}:run", "of-another-life")
    rig.findings.measure(
        "shards whole after Redis was lost, s", wait_for("whole shards", rig.shards_are_whole), at_most=10.0
    )


def kills_anything(rig: Rig, chance: Random, seconds: float) -> int:
    """Gateway, broker, PostgreSQL and Redis, by lot."""
    nemeses = (kills_gateway, kills_broker, kills_postgres, kills_redis)
    begin_s, count = time.monotonic(), 0
    while (left_s := begin_s + seconds - time.monotonic()) > 0:
        count += chance.choice(nemeses)(rig, chance, min(left_s, 2.2))
    return count


def freezes_postgres(rig: Rig, chance: Random, seconds: float) -> int:
    """SIGSTOP for the whole time but a second on either side."""
    begin_s = time.monotonic()
    pass_time(begin_s + 1.0)
    rss_bytes = rig.gateway_rss_bytes()
    rig.stack.postgres.freeze()
    try:
        noticed_s = wait_for("a lag", lambda: rig.page.metric("latchkey_commit_lag_seconds") > 0.2)
        rig.findings.measure("lag shown after the freeze, s", noticed_s, at_most=2.0)
        pass_time(begin_s + seconds - 1.0)
        grown_mib = (rig.gateway_rss_bytes() - rss_bytes) / 2**20
        rig.findings.measure("gateway grown while frozen, MiB", grown_mib, at_most=64.0, timed=False)
    finally:
        rig.stack.postgres.thaw()
    rig.findings.measure("first commit after the thaw, s", rig.wait_for_new_rows(), at_most=5.0)
    return 1


def restarts_broker(rig: Rig, chance: Random, seconds: float) -> int:
    """A clean stop and start in the middle."""
    pass_time(time.monotonic() + seconds / 2)
    rig.stack.broker.terminate()
    rig.stack.broker.start()
    rig.findings.measure("ingest resumed after the broker, s", rig.wait_for_new_rows(), at_most=3.0)
    return 1


def deletes_broker_database(rig: Rig, chance: Random, seconds: float) -> int:
    """Stop, remove mosquitto.db, start: every session of the gateway is gone, and each is counted once."""
    series = 'latchkey_session_incidents_total{kind="lost"}'
    before = rig.page.metric(series)
    pass_time(time.monotonic() + seconds / 2)
    rig.stack.broker.terminate()
    removed = list(rig.stack.broker.data_dir.rglob("mosquitto.db"))
    assert removed, "the broker left no database to delete"
    for path in removed:
        path.unlink()
    rig.stack.broker.start()
    rig.findings.measure("subscribed again after the broker, s", rig.wait_ready(), at_most=3.0)
    rig.findings.expect("sessions counted as lost", rig.page.metric(series) - before, 2.0 * SHARDS)
    return 1


def sends_too_much(rig: Rig, chance: Random, seconds: float) -> int:
    """Every second a message of a megabyte, which the broker must not take."""

    def strike() -> None:
        message = (report_topic(DeviceId("trial-0000")), b"{" * 1_000_000)
        rig.findings.count("a megabyte was taken", not is_thrown_out(rig.stack.broker, message))

    return _strikes(chance, seconds, every_s=1.0, strike=strike)


def does_nothing(rig: Rig, chance: Random, seconds: float) -> int:
    """The devices' own network is bad enough."""
    pass_time(time.monotonic() + seconds)
    return 0
