"""The benchmark `nearby`: who is within 500 m, out of a million, against Redis GEOSEARCH and brute force.

The city is dense: a million devices on 950 km², the real streets of one metropolis and not a country, about a
thousand per km² and twice that around its hubs. The denser it is, the more GEOSEARCH has to look at and the better
our ratio; so the same questions are also put to a quarter of the fleet, and that ratio is printed beside it.
Engines are compared by their own processor time (ours: of the thread; Redis: its `usec_per_call`, without its
socket), sockets by the time until the whole answer is there, in alternating rounds.
"""

import asyncio
import gc
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import redis
from msgspec import Struct

from api.live.fleet_view import FleetView
from api.live.traits import MapFilter
from bench.nearby_city import BruteForce, City, build_city
from bench.result import Result, percentile
from bench.round_trip import HttpConnection, RedisConnection
from cli.child_process import ChildProcess
from cli.stack import Stack
from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import SHARDS, shard_of
from gateway.core.live_state import LiveState, Presence
from gateway.stores.live_states import RedisLiveStates
from gateway.stores.migrate import migrate
from gateway.stores.redis_link import RedisLink
from geo.point import Point

RADIUS_M = 500
LIMIT = 50
QUESTIONS = 2_000
ROUND = 100
"""Questions to one contender before the other has its turn: what else the machine does meets both."""
CHECKED = 100
"""Questions whose answers are compared with brute force."""
THINNED = 4
ALL = MapFilter(only_available=False)

DENSE_KEY, SPARSE_KEY = "bench:geo", "bench:geo:sparse"


class Questions(Struct, frozen=True):
    """Where is asked, the engine that answers, and the same fleet in Redis."""

    city: City
    view: FleetView
    centres: list[Point]
    key: str


def measure(stack: Stack, folder: Path, *, devices: int) -> Result:
    """Two thousand questions to each contender, over a fleet of `devices`."""
    result = Result("nearby")
    chance = Random(7)
    city = build_city(devices, chance)
    result.metrics["devices_count"] = devices
    with redis.Redis.from_url(stack.redis.url()) as client:
        client.flushall()
    dense = _questions(stack.redis.url(), city, DENSE_KEY, chance)
    sparse = _questions(stack.redis.url(), city.thinned(THINNED), SPARSE_KEY, chance)
    asyncio.run(_fill_live(stack.redis.url(), city))
    # As the API does once its view is filled.
    gc.freeze()
    _check_answers(result, dense)
    _measure_engines(result, stack.redis.url(), dense, sparse)
    _measure_sockets(result, stack, folder, dense)
    return result


def _questions(url: str, city: City, key: str, chance: Random) -> Questions:
    """The fleet in a view of ours and in a geo set."""
    view = FleetView()
    with redis.Redis.from_url(url) as client:
        for start in range(0, len(city.lat_e7), 10_000):
            members: list[float | str] = []
            for index in range(start, min(start + 10_000, len(city.lat_e7))):
                entry = city.entry(index)
                view.apply(entry.device_id, entry)
                members += [city.lon_e7[index] / 1e7, city.lat_e7[index] / 1e7, entry.device_id]
            client.geoadd(key, members)
    return Questions(city, view, city.places(QUESTIONS, chance), key)


async def _fill_live(url: str, city: City) -> None:
    """The fleet as live states, for the API process."""
    link = RedisLink(url, name="nearby")
    states = RedisLiveStates(link)
    by_shard: list[dict[DeviceId, LiveState]] = [{} for _ in range(SHARDS)]
    for index in range(len(city.lat_e7)):
        entry = city.entry(index)
        by_shard[shard_of(entry.device_id)][entry.device_id] = LiveState(
            1, 1, 1, 0, 0, Presence.ONLINE, b"", (), (), entry
        )
    for shard, found in enumerate(by_shard):
        await states.rebuild(shard, f"nearby-{shard}", found)
    await link.close()


def _check_answers(result: Result, asked: Questions) -> None:
    brute = BruteForce(asked.city)
    equal = sum(
        [int(near.device_id[-7:]) for near, _ in asked.view.nearby(centre, RADIUS_M, ALL, limit=LIMIT)]
        == brute.nearest(centre, RADIUS_M, LIMIT)
        for centre in asked.centres[:CHECKED]
    )
    result.check("the engine's answers are those of brute force", equal == CHECKED, f"{equal}/{CHECKED}")
    counts = [brute.count(centre, RADIUS_M) for centre in asked.centres[:CHECKED]]
    result.metrics["devices_within_radius_count"] = sum(counts) / len(counts)


def _measure_engines(result: Result, redis_url: str, dense: Questions, sparse: Questions) -> None:
    for name, asked in (("", dense), ("_quarter_density", sparse)):
        ours_us, theirs_us = _engines_us(redis_url, asked)
        result.metrics[f"engine_cpu_mean{name}_us"] = ours_us
        result.metrics[f"geosearch_cpu_mean{name}_us"] = theirs_us
        result.ratios[f"geosearch_over_engine{name}"] = theirs_us / ours_us
    took = _timed(lambda centre: dense.view.nearby(centre, RADIUS_M, ALL, limit=LIMIT), dense.centres)
    result.metrics["engine_p50_us"] = percentile(sorted(took), 0.5)
    result.metrics["engine_p99_us"] = percentile(sorted(took), 0.99)
    gain = result.ratios["geosearch_over_engine"]
    result.check("the engine is at least 10 times as fast as GEOSEARCH", gain >= 10, f"{gain:.1f}x")


def _engines_us(redis_url: str, asked: Questions) -> tuple[float, float]:
    """Processor time per question: ours, and what Redis says of its own."""
    began_ns = time.thread_time_ns()
    for centre in asked.centres:
        asked.view.nearby(centre, RADIUS_M, ALL, limit=LIMIT)
    ours_us = (time.thread_time_ns() - began_ns) / 1000 / len(asked.centres)
    with RedisConnection(redis_url) as raw, redis.Redis.from_url(redis_url) as client:
        client.config_resetstat()
        for centre in asked.centres:
            raw.ask(*_geosearch(asked.key, centre))
        return ours_us, float(client.info("commandstats")["cmdstat_geosearch"]["usec_per_call"])


def _measure_sockets(result: Result, stack: Stack, folder: Path, asked: Questions) -> None:
    dsn = stack.create_database()
    migrate(dsn, "require" if stack.postgres.timescale else "off")
    api = ChildProcess(["api"], stack.environment(dsn=dsn), folder)
    try:
        began_s = time.monotonic()
        api.start()
        token = stack.token("operator_admin")
        with HttpConnection(api.http_port, token=token) as http, RedisConnection(stack.redis.url()) as raw:
            http.wait_ready(180)
            result.metrics["view_filled_s"] = time.monotonic() - began_s
            same = sum(_api_ids(http, at) == _view_ids(asked.view, at) for at in asked.centres[:CHECKED])
            result.check("the API's answers are those of the engine", same == CHECKED, f"{same}/{CHECKED}")
            ours, theirs, floor = _in_turns(http, raw, asked)
    finally:
        api.close()
        stack.postgres.drop_database(dsn)
    for name, took in (("api", ours), ("geosearch", theirs)):
        result.metrics[f"{name}_p50_us"] = percentile(took, 0.5)
        result.metrics[f"{name}_p99_us"] = percentile(took, 0.99)
    result.floors["api_us"] = percentile(floor, 0.5)
    result.ratio("api_over_canned_answer", "api_p50_us", "api_us")
    gain = percentile(theirs, 0.5) / percentile(ours, 0.5)
    result.ratios["geosearch_over_api"] = gain
    result.check("the API is at least 3 times as fast as GEOSEARCH over a socket", gain >= 3, f"{gain:.1f}x")


def _in_turns(http: HttpConnection, raw: RedisConnection, asked: Questions) -> tuple[list[float], ...]:
    """Microseconds of every answer, sorted: the API's, GEOSEARCH's, and of an answer without a question."""
    ours: list[float] = []
    theirs: list[float] = []
    floor: list[float] = []
    for start in range(0, len(asked.centres), ROUND):
        some = asked.centres[start : start + ROUND]
        ours += _timed(lambda centre: http.get(_path(centre)), some)
        theirs += _timed(lambda centre: raw.ask(*_geosearch(asked.key, centre)), some)
        floor += _timed(lambda _: http.get("/livez"), some)
    return sorted(ours), sorted(theirs), sorted(floor)


def _timed(ask: Callable[[Point], object], centres: Sequence[Point]) -> list[float]:
    """Microseconds of each question."""
    took = []
    for centre in centres:
        begin = time.perf_counter_ns()
        ask(centre)
        took.append((time.perf_counter_ns() - begin) / 1000)
    return took


def _path(centre: Point) -> str:
    where = f"lat={centre.lat_e7 / 1e7:.7f}&lon={centre.lon_e7 / 1e7:.7f}"
    return f"/v1/nearby?{where}&radius_m={RADIUS_M}&limit={LIMIT}&availability=any"


def _geosearch(key: str, centre: Point) -> tuple[str, ...]:
    where = ("FROMLONLAT", f"{centre.lon_e7 / 1e7:.7f}", f"{centre.lat_e7 / 1e7:.7f}")
    within = ("BYRADIUS", str(RADIUS_M), "m", "ASC", "COUNT", str(LIMIT), "WITHDIST")
    return ("GEOSEARCH", key, *where, *within)


def _api_ids(http: HttpConnection, centre: Point) -> list[str]:
    return [str(device["id"]) for device in http.get_json(_path(centre))["devices"]]


def _view_ids(view: FleetView, centre: Point) -> list[str]:
    return [entry.public_id for entry, _ in view.nearby(centre, RADIUS_M, ALL, limit=LIMIT)]
