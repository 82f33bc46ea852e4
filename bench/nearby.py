"""The benchmark `nearby`: who is within 500 m, out of a million, against Redis GEOSEARCH and brute force."""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import numpy as np
import redis
from msgspec import Struct
from numpy.typing import NDArray

from api.live.fleet_view import FleetView
from api.live.nearest import nearest
from api.live.traits import MapFilter, traits_of
from bench.result import Result, percentile
from bench.round_trip import HttpConnection, RedisConnection
from cli.child_process import ChildProcess
from cli.stack import Stack
from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import SHARDS, shard_of
from gateway.core.device import Kind
from gateway.core.live_state import LiveState, MapEntry, Presence
from gateway.stores.live_states import RedisLiveStates
from gateway.stores.migrate import migrate
from gateway.stores.redis_link import RedisLink
from geo.point import EARTH_RADIUS_M, Point

RADIUS_M = 500
LIMIT = 50
HUBS = 60
HUB_SPREAD_E7 = 250_000
"""About 2.8 km: a large city whose dense parts hold a hundred devices within the radius."""
CHECKED = 100
"""Queries whose answers are compared with brute force."""
ALL = MapFilter(kinds=sum(1 << kind for kind in Kind), only_available=False, min_battery_pct=0)


class City(Struct, frozen=True):
    """Positions of a fleet around hubs."""

    lat_e7: list[int]
    lon_e7: list[int]

    def entry(self, index: int) -> MapEntry:
        kind = Kind.CABINET if index % 10 == 0 else Kind.BIKE
        return MapEntry(
            DeviceId(f"near-{index:07d}"),
            f"p{index:07d}",
            100_000_000 + index,
            1,
            kind,
            self.lat_e7[index],
            self.lon_e7[index],
            True,
            (),
            50 + index % 50,
            1,
            0,
            False,
            0,
        )


class Questions(Struct, frozen=True):
    """Where is asked, the engine that answers, and the fleet that says which answers are right."""

    city: City
    view: FleetView
    centres: list[Point]


def build_city(count: int, chance: Random) -> City:
    """A metropolitan area of 0.6 by 0.6 degrees at 31 degrees north."""
    hubs = [
        (312_000_000 + chance.randrange(6_000_000), 1_214_000_000 + chance.randrange(6_000_000))
        for _ in range(HUBS)
    ]
    lat_e7, lon_e7 = [], []
    for _ in range(count):
        lat, lon = chance.choice(hubs)
        lat_e7.append(lat + int(chance.gauss(0, HUB_SPREAD_E7)))
        lon_e7.append(lon + int(chance.gauss(0, HUB_SPREAD_E7)))
    return City(lat_e7, lon_e7)


def brute_force(lat_e7: NDArray[np.int64], lon_e7: NDArray[np.int64], centre: Point) -> list[int]:
    """Indexes of all within the radius, by the haversine formula over every device, nearest first."""
    lat, lon = np.radians(lat_e7 / 1e7), np.radians(lon_e7 / 1e7)
    lat0, lon0 = np.radians(centre.lat_e7 / 1e7), np.radians(centre.lon_e7 / 1e7)
    half = np.sin((lat - lat0) / 2) ** 2 + np.cos(lat) * np.cos(lat0) * np.sin((lon - lon0) / 2) ** 2
    distance = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(half))
    inside = np.flatnonzero(distance <= RADIUS_M)
    return [int(index) for index in inside[np.argsort(distance[inside])][:LIMIT]]


def timed(ask: Callable[[Point], object], centres: Sequence[Point]) -> list[float]:
    """Microseconds of each question, sorted."""
    took = []
    for centre in centres:
        begin = time.perf_counter_ns()
        ask(centre)
        took.append((time.perf_counter_ns() - begin) / 1000)
    return sorted(took)


def measure(stack: Stack, folder: Path, *, devices: int) -> Result:
    """Two thousand questions to each contender, over a fleet of `devices`."""
    result = Result("nearby")
    chance = Random(7)
    city = build_city(devices, chance)
    picks = [chance.randrange(devices) for _ in range(2_000)]
    centres = [Point(city.lat_e7[pick] + 3_000, city.lon_e7[pick] - 3_000) for pick in picks]
    result.metrics["devices_count"] = devices
    view = FleetView()
    for index in range(devices):
        entry = city.entry(index)
        view.apply(entry.device_id, entry)
    _fill_redis(stack.redis.url(), city)
    questions = Questions(city, view, centres)
    _measure_engines(result, stack.redis.url(), questions)
    _measure_sockets(result, stack, folder, questions)
    return result


def _fill_redis(url: str, city: City) -> None:
    """The same fleet as a geo set, and as live states for the API process."""
    with redis.Redis.from_url(url) as client:
        client.flushall()
        for start in range(0, len(city.lat_e7), 10_000):
            members: list[float | str] = []
            for index in range(start, min(start + 10_000, len(city.lat_e7))):
                members += [city.lon_e7[index] / 1e7, city.lat_e7[index] / 1e7, f"near-{index:07d}"]
            client.geoadd("bench:geo", members)
    asyncio.run(_fill_live(url, city))


async def _fill_live(url: str, city: City) -> None:
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


def _measure_engines(result: Result, redis_url: str, questions: Questions) -> None:
    view, centres = questions.view, questions.centres
    lat_e7, lon_e7 = np.array(questions.city.lat_e7), np.array(questions.city.lon_e7)
    equal = sum(
        [int(near.entry.device_id[-7:]) for near in view.nearby(centre, RADIUS_M, ALL, limit=LIMIT)]
        == brute_force(lat_e7, lon_e7, centre)
        for centre in centres[:CHECKED]
    )
    result.check("the engine's answers are those of brute force", equal == CHECKED, f"{equal}/{CHECKED}")
    ours = timed(lambda centre: view.nearby(centre, RADIUS_M, ALL, limit=LIMIT), centres)
    candidates = {
        centre: b"".join(
            np.array([[e.lat_e7, e.lon_e7, traits_of(e), 0]], dtype=np.int32).tobytes()
            for e, _ in view.nearby(centre, RADIUS_M, ALL, limit=1_000_000)
        )
        for centre in centres[:200]
    }
    floor = timed(
        lambda centre: nearest(candidates[centre], centre, RADIUS_M, wanted=ALL, limit=LIMIT), centres[:200]
    )
    result.metrics["engine_p50_us"], result.metrics["engine_p99_us"] = (
        percentile(ours, 0.5),
        percentile(ours, 0.99),
    )
    result.floors["engine_us"] = percentile(floor, 0.5)
    result.ratio("engine_over_distances_of_the_hits", "engine_p50_us", "engine_us")
    with redis.Redis.from_url(redis_url) as client:
        client.config_resetstat()
        for centre in centres:
            client.geosearch(
                "bench:geo",
                longitude=centre.lon_e7 / 1e7,
                latitude=centre.lat_e7 / 1e7,
                radius=RADIUS_M,
                unit="m",
                sort="ASC",
                count=LIMIT,
                withdist=True,
            )
        redis_us = float(client.info("commandstats")["cmdstat_geosearch"]["usec_per_call"])
    result.metrics["geosearch_engine_mean_us"] = redis_us
    mean_us = sum(ours) / len(ours)
    result.metrics["engine_mean_us"] = mean_us
    result.ratios["geosearch_over_engine"] = redis_us / mean_us
    result.check(
        "the engine is at least 10 times as fast as GEOSEARCH",
        redis_us > 10 * mean_us,
        f"{redis_us / mean_us:.1f}x",
    )


def _measure_sockets(result: Result, stack: Stack, folder: Path, questions: Questions) -> None:
    view, centres = questions.view, questions.centres
    dsn = stack.create_database()
    migrate(dsn, "require" if stack.postgres.timescale else "off")
    api = ChildProcess(["api"], stack.environment(dsn=dsn), folder)
    try:
        began_s = time.monotonic()
        api.start()
        with (
            HttpConnection(api.http_port) as http,
            RedisConnection(stack.redis.url()) as raw,
        ):
            http.wait_ready(180)
            result.metrics["view_filled_s"] = time.monotonic() - began_s
            same = sum(_api_ids(http, centre) == _view_ids(view, centre) for centre in centres[:CHECKED])
            result.check("the API's answers are those of the engine", same == CHECKED, f"{same}/{CHECKED}")
            ours = timed(lambda centre: http.get(_path(centre)), centres)
            theirs = timed(lambda centre: raw.ask(*_geosearch(centre)), centres)
            floor = timed(lambda _: http.get("/livez"), centres)
    finally:
        api.close()
        stack.postgres.drop_database(dsn)
    result.metrics["api_p50_us"], result.metrics["api_p99_us"] = percentile(ours, 0.5), percentile(ours, 0.99)
    result.metrics["geosearch_p50_us"], result.metrics["geosearch_p99_us"] = (
        percentile(theirs, 0.5),
        percentile(theirs, 0.99),
    )
    result.floors["api_us"] = percentile(floor, 0.5)
    result.ratio("api_over_canned_answer", "api_p50_us", "api_us")
    gain = percentile(theirs, 0.5) / percentile(ours, 0.5)
    result.ratios["geosearch_over_api"] = gain
    result.check("the API is at least 3 times as fast as GEOSEARCH over a socket", gain >= 3, f"{gain:.1f}x")


def _path(centre: Point) -> str:
    where = f"lat={centre.lat_e7 / 1e7:.7f}&lon={centre.lon_e7 / 1e7:.7f}"
    return f"/v1/nearby?{where}&radius_m={RADIUS_M}&limit={LIMIT}&availability=any"


def _geosearch(centre: Point) -> tuple[str, ...]:
    where = ("FROMLONLAT", f"{centre.lon_e7 / 1e7:.7f}", f"{centre.lat_e7 / 1e7:.7f}")
    return (
        "GEOSEARCH",
        "bench:geo",
        *where,
        "BYRADIUS",
        str(RADIUS_M),
        "m",
        "ASC",
        "COUNT",
        str(LIMIT),
        "WITHDIST",
    )


def _api_ids(http: HttpConnection, centre: Point) -> list[str]:
    return [str(device["id"]) for device in http.get_json(_path(centre))["devices"]]


def _view_ids(view: FleetView, centre: Point) -> list[str]:
    return [near.entry.public_id for near in view.nearby(centre, RADIUS_M, ALL, limit=LIMIT)]
