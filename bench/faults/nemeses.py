"""Who breaks what, how often: each nemesis acts until its time is up and leaves everything running again."""

import time
from collections.abc import Callable
from random import Random

from bench.faults.rig import Rig

Nemesis = Callable[[Rig, Random, float], int]
"""Breaks things for that many seconds; returns how often it struck."""


def _strikes(chance: Random, seconds: float, *, every_s: float, strike: Callable[[], None]) -> int:
    """Strikes at uneven times, about every `every_s`; a strike's own time counts."""
    begin_s, count = time.monotonic(), 0
    while True:
        next_s = begin_s + (count + chance.uniform(0.4, 1.0)) * every_s
        if max(next_s, time.monotonic()) > begin_s + seconds:
            return count
        _wait_until(next_s)
        strike()
        count += 1


def _wait_until(at_s: float) -> None:
    left_s = at_s - time.monotonic()
    if left_s > 0:
        # A nemesis is a clock: it acts at times, not on conditions.
        time.sleep(left_s)


def kills_gateway(rig: Rig, chance: Random, seconds: float) -> int:
    """kill -9 of the gateway, started again at once."""
    return _strikes(chance, seconds, every_s=1.5, strike=rig.kill_gateway)


def kills_broker(rig: Rig, chance: Random, seconds: float) -> int:
    """kill -9 of mosquitto, started again on the same folder."""

    def strike() -> None:
        rig.stack.broker.kill()
        rig.stack.broker.start()

    return _strikes(chance, seconds, every_s=1.6, strike=strike)


def kills_postgres(rig: Rig, chance: Random, seconds: float) -> int:
    """kill -9 of the whole PostgreSQL, or of one of its backends (which makes it recover all the same)."""

    def strike() -> None:
        if chance.random() < 0.5:
            rig.kill_a_backend()
        else:
            rig.stack.postgres.kill()
            rig.stack.postgres.start()

    return _strikes(chance, seconds, every_s=1.6, strike=strike)


def kills_redis(rig: Rig, chance: Random, seconds: float) -> int:
    """kill -9 of a Redis that keeps nothing on disk."""

    def strike() -> None:
        rig.stack.redis.kill()
        rig.stack.redis.start()

    return _strikes(chance, seconds, every_s=2.0, strike=strike)


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
    _wait_until(begin_s + 1.0)
    rig.stack.postgres.freeze()
    try:
        _wait_until(begin_s + seconds - 1.0)
    finally:
        rig.stack.postgres.thaw()
    return 1


def restarts_broker(rig: Rig, chance: Random, seconds: float) -> int:
    """A clean stop and start in the middle."""
    _wait_until(time.monotonic() + seconds / 2)
    rig.stack.broker.terminate()
    rig.stack.broker.start()
    return 1


def deletes_broker_database(rig: Rig, chance: Random, seconds: float) -> int:
    """Stop, remove mosquitto.db, start: every session of the gateway is gone."""
    _wait_until(time.monotonic() + seconds / 2)
    rig.stack.broker.terminate()
    removed = list(rig.stack.broker.data_dir.rglob("mosquitto.db"))
    assert removed, "the broker left no database to delete"
    for path in removed:
        path.unlink()
    rig.stack.broker.start()
    return 1


def does_nothing(rig: Rig, chance: Random, seconds: float) -> int:
    """The devices' own network is bad enough."""
    _wait_until(time.monotonic() + seconds)
    return 0
