"""Composition root of the API: opens stores, starts tasks, closes in reverse."""

import asyncio
import gc
import os
import random
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, fields
from typing import Any
from uuid import uuid4

import structlog
import uvloop
from fastapi import FastAPI

from api.auth.gate import Gate
from api.auth.limits import Limiter
from api.auth.wechat import WeChatLogin
from api.live.entrance import Entrance
from api.live.fleet_view import FleetView
from api.live.hub import LiveHub
from api.live.relay import FeedRelay
from api.live.session import SharedView
from api.live.watches import Watches
from api.logs import log_to_stderr
from api.order_figures import OrderFigures
from api.routing import surface
from api.server import allow_files, bound, server_for
from api.settings import BadSettings, Settings
from api.telemetry import ApiTelemetry
from api.world import BrokerSide, World
from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import SHARDS, shard_of
from gateway.clock import SystemClock
from gateway.commands.issue import IssuePorts
from gateway.core.live_state import LiveState
from gateway.feed_port import ChangeFeed
from gateway.ports import Clock, LiveStates
from gateway.rates import LocalRateLimits
from gateway.stores.api_keys import PostgresApiKeys
from gateway.stores.audit import PostgresAudit
from gateway.stores.broker_access import PostgresBrokerAccess
from gateway.stores.change_feed import RedisChangeFeed
from gateway.stores.command_desk import PostgresCommandDesk
from gateway.stores.device_keys import PostgresDeviceKeys
from gateway.stores.device_queries import PostgresDeviceQueries
from gateway.stores.devices_at_hand import DevicesAtHand
from gateway.stores.enrolment import PostgresEnrolment
from gateway.stores.history_queries import PostgresHistoryQueries
from gateway.stores.incidents import PostgresIncidents
from gateway.stores.live_states import RedisLiveStates
from gateway.stores.people import PostgresPeople
from gateway.stores.postgres_link import PostgresLink
from gateway.stores.quarantine import PostgresQuarantine
from gateway.stores.rate_limits import RedisRateLimits
from gateway.stores.reading_pool import ReadingPool
from gateway.stores.redis_link import RedisLink
from gateway.stores.registry import PostgresRegistry
from gateway.stores.saved_states import PostgresSavedStates

log = structlog.get_logger()


class StatesOfRedis:
    """One device's state out of the store of all."""

    def __init__(self, states: LiveStates) -> None:
        self._states = states

    async def get(self, device_id: DeviceId) -> LiveState | None:
        """Raises StoreUnavailable."""
        return (await self._states.load({shard_of(device_id): (device_id,)})).get(device_id)


def live_map(
    feed: ChangeFeed, clock: Clock, entrance: Entrance, *, filled: Callable[[], None] = lambda: None
) -> tuple[FleetView, FeedRelay, LiveHub]:
    """A fleet view, what keeps it true, and the clients that watch it. `filled` hears when the view was filled."""
    view, watches = FleetView(), Watches()
    # Each needs the other: the relay tells the hub, the hub's sessions ask the relay whether it is stale.
    hub = LiveHub(SharedView(view, watches, secrets.token_hex(4), lambda: relay.is_stale), entrance)
    relay = FeedRelay(feed, view, clock, shards=SHARDS, tell=hub.tell, filled=filled)
    return view, relay, hub


@dataclass(frozen=True, slots=True)
class _Stores:
    """What is closed at the end."""

    feed_link: RedisLink
    states_link: RedisLink
    pool: ReadingPool
    devices: DevicesAtHand
    quarantine: PostgresQuarantine
    people_link: PostgresLink
    enrolling_link: PostgresLink
    desk: PostgresCommandDesk
    keys: PostgresDeviceKeys

    @classmethod
    @asynccontextmanager
    async def opened(cls, settings: Settings, clock: Clock) -> AsyncIterator["_Stores"]:
        """Open while the block runs, closed in reverse; no store needs to be there."""
        dsn = settings.postgres_dsn
        pool = ReadingPool(dsn)
        stores = cls(
            RedisLink(settings.redis_url, name="latchkey-api-feed"),
            RedisLink(settings.redis_url, name="latchkey-api"),
            pool,
            DevicesAtHand(PostgresRegistry(dsn, clock), PostgresDeviceQueries(dsn, pool), clock),
            PostgresQuarantine(dsn),
            PostgresLink(dsn, name="people"),
            PostgresLink(dsn, name="enrolment"),
            PostgresCommandDesk(dsn, chance=random.Random().random),
            PostgresDeviceKeys(dsn, settings.key_encryption_key, clock),
        )
        async with AsyncExitStack() as stack:
            await stores.pool.open()
            for one in fields(stores):
                stack.push_async_callback(getattr(stores, one.name).close)
            yield stores


@asynccontextmanager
async def opened_world(settings: Settings, *, on_defect: Callable[[], None]) -> AsyncIterator[World]:
    """Stores open and tasks running while the block runs; no store needs to be there."""
    clock = SystemClock()
    async with _Stores.opened(settings, clock) as stores, AsyncExitStack() as running:
        world = _world(settings, stores, clock)
        tasks = {
            "desk": stores.desk.run(),
            "device_keys": stores.keys.follow_changes(),
            "devices": stores.devices.run(),
            "relay": world.relay.run(),
            "sweep": world.hub.sweep(),
            "keys": world.hub.watch_keys(),
            "gate": world.gate.run(),
        }
        for name, work in tasks.items():
            running.push_async_callback(_stopped, _started(name, work, on_defect))
        yield world


def _world(settings: Settings, stores: _Stores, clock: Clock) -> World:
    pool, link = stores.pool, stores.people_link
    rules, people = settings.auth.rules(clock.monotonic_s), PostgresPeople(pool, link)
    gate = Gate(rules, PostgresApiKeys(pool, link), people, clock)
    wechat = settings.auth.wechat
    # A million entries are here to stay: walking over them took a collection 60 ms, in which nobody is served.
    view, relay, hub = live_map(
        RedisChangeFeed(stores.feed_link), clock, Entrance(gate, settings.auth.doors), filled=gc.freeze
    )
    figures = OrderFigures()
    states, saved_states = StatesOfRedis(RedisLiveStates(stores.states_link)), PostgresSavedStates(pool)
    return World(
        clock=clock,
        view=view,
        relay=relay,
        hub=hub,
        states=states,
        devices=stores.devices.queries,
        at_hand=stores.devices,
        history=PostgresHistoryQueries(pool),
        quarantine=stores.quarantine,
        saved_states=saved_states,
        truth=pool,
        gate=gate,
        limiter=Limiter(
            RedisRateLimits(stores.states_link),
            LocalRateLimits(clock.monotonic_s),
            settings.auth.doors,
            clock.monotonic_s,
        ),
        audit=PostgresAudit(link, pool),
        login=WeChatLogin(wechat, people, rules, clock) if wechat else None,
        desk=stores.desk,
        issuing=IssuePorts(
            stores.desk,
            states,
            saved_states,
            stores.keys,
            clock,
            figures,
            uuid4,
            lambda: relay.is_stale,
        ),
        figures=figures,
        incidents=PostgresIncidents(pool),
        enrolment=PostgresEnrolment(stores.enrolling_link, settings.key_encryption_key),
        broker=BrokerSide(PostgresBrokerAccess(pool, clock), settings.broker_secret, settings.broker_address),
    )


def main() -> None:
    """Serves until SIGTERM. Exit code 2 when the settings are wrong."""
    try:
        settings = Settings.from_environment(os.environ)
        listener = bound(settings.host, settings.port)
    except (BadSettings, OSError) as error:
        sys.stderr.write(f"latchkey api: {error}\n")
        raise SystemExit(2) from error
    log_to_stderr(settings.log_level)
    if settings.listens_beyond_loopback:
        log.warning("tls_must_stand_in_front", host=settings.host, because="tokens travel in the clear")
    if not settings.auth.secrets and not settings.auth.jwks:
        log.warning(
            "only_api_keys_are_taken", because="neither LATCHKEY_API_JWT_SECRET nor LATCHKEY_API_JWKS is set"
        )
    allow_files()
    with listener:
        uvloop.run(_serve(settings, listener))


async def _serve(settings: Settings, listener: Any) -> None:
    def stop() -> None:
        server.should_exit = True

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with opened_world(settings, on_defect=stop) as world:
            telemetry = ApiTelemetry(world.view, world.relay, world.hub, world.figures)
            yield {"world": world, "live": world.hub, "telemetry": telemetry}

    app = surface(
        lifespan, settings.auth.doors, web_dir=settings.web_dir, monotonic_s=SystemClock().monotonic_s
    )
    server = server_for(app, log_level=settings.log_level)
    await server.serve(sockets=[listener])


def _started(
    name: str, work: Coroutine[Any, Any, None], on_defect: Callable[[], None]
) -> "asyncio.Task[None]":
    """A task that never ends by itself; if it does, the process must not go on without it."""

    def ended(task: "asyncio.Task[None]") -> None:
        if not task.cancelled():
            log.error("task_ended", task=task.get_name(), exc_info=task.exception())
            on_defect()

    task = asyncio.create_task(work, name=name)
    task.add_done_callback(ended)
    return task


async def _stopped(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait((task,))
