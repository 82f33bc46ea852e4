"""The API on a real port with stores in memory."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
from fastapi import FastAPI
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from api import routing
from api.app import StatesOfRedis, live_map
from api.auth.doors import Doors
from api.auth.gate import Gate
from api.auth.limits import Limiter
from api.auth.principal import Principal, Role
from api.auth.settings import WeChatSettings
from api.auth.tokens import TokenRules, mint
from api.auth.wechat import WeChatLogin
from api.live.entrance import Entrance
from api.order_figures import OrderFigures
from api.server import bound, server_for
from api.telemetry import ApiTelemetry
from api.world import BrokerSide, World
from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import SHARDS, shard_of
from gateway.commands.issue import IssuePorts
from gateway.core.live_state import LiveState, MapEntry, Presence
from gateway.ports import ShardSteps, Step
from gateway.rates import LocalRateLimits
from tests.support.fakes.clock import FakeClock
from tests.support.fakes.commands import FakeCommands
from tests.support.fakes.device_keys import FakeDeviceKeys
from tests.support.fakes.interruptions import Interruptions
from tests.support.fakes.live_states import FakeLiveStates
from tests.support.fakes.people import FakePeople
from tests.support.plain_http import NO_TLS
from tests.support.waiting import until_async
from tests.unit.api.newcomers import BROKER_ADDRESS, BROKER_SECRET, Newcomers
from tests.unit.api.stores import MODEL as MODEL
from tests.unit.api.stores import NOW_MS as NOW_MS
from tests.unit.api.stores import Audit, History, Incidents, Quarantine, Truth
from tests.unit.api.stores import known as known

SECRET = b"the secret of the tests, 32 bytes and more"


class Surface:
    """A running API and all it stands on."""

    def __init__(self, doors: Doors) -> None:
        self.interruptions = Interruptions()
        self.redis = FakeLiveStates(self.interruptions)
        self.truth = Truth()
        self.newcomers = Newcomers()
        self.clock = FakeClock(NOW_MS)
        self.port = 0
        self.connections: Collection[object] = ()
        """The server's, as they come and go."""
        self.people = FakePeople()
        rules = TokenRules("latchkey", "latchkey-api", (SECRET,))
        self.gate = Gate(rules, self.people, self.people, self.clock)
        self.wechat: WeChatSettings | None = None
        local = LocalRateLimits(self.clock.monotonic_s)
        self.limiter = Limiter(local, local, doors, self.clock.monotonic_s)
        self.view, self.relay, self.hub = live_map(self.redis, self.clock, Entrance(self.gate, doors))
        self.desk = FakeCommands(self.clock, None, self.interruptions)
        self.keys = FakeDeviceKeys(self.interruptions)
        self.figures = OrderFigures()
        self.http: httpx.AsyncClient

    def token(
        self,
        role: str = "operator_admin",
        *,
        operator_id: int = 1,
        life_s: float = 3600,
        subject: str = "someone",
    ) -> str:
        """A bearer token; one with a negative life has expired so long ago."""
        now_s = self.clock.now_ms() / 1000
        who = Principal(Role(role), subject, operator_id)
        if life_s > 0:
            return mint(who, self.gate.rules, now_s=now_s, life_s=life_s)
        return mint(who, self.gate.rules, now_s=now_s + life_s - 600, life_s=600)

    def headers(self, role: str = "operator_admin", **claims: Any) -> dict[str, str]:
        """Of a request by somebody of this role."""
        return {"Authorization": f"Bearer {self.token(role, **claims)}"}

    async def begin(self) -> None:
        """Every shard gets an epoch and the view is filled."""
        for shard in range(SHARDS):
            await self.redis.rebuild(shard, "epoch", {})
        await self.follow()

    async def put(
        self, entry: MapEntry, *, frame: bytes = b"", reasons: tuple[tuple[int, int], ...] = ()
    ) -> None:
        """What a gateway does when a report advanced a device; the view hears of it."""
        await self.put_state(entry.device_id, entry, frame=frame, reasons=reasons)
        await self.follow()

    async def put_state(
        self,
        device_id: DeviceId,
        entry: MapEntry | None,
        *,
        frame: bytes = b"",
        reasons: tuple[tuple[int, int], ...] = (),
    ) -> None:
        """The same, without the view."""
        shard = shard_of(device_id)
        before = (await self.redis.load({shard: [device_id]})).get(device_id)
        revision = 0 if before is None else before.revision
        state = LiveState(
            revision + 1,
            7,
            revision + 1,
            NOW_MS - 5_000,
            NOW_MS - 4_000,
            Presence.ONLINE,
            frame,
            reasons,
            (),
            entry,
        )
        await self.redis.advance([ShardSteps(shard, "epoch", [Step(device_id, revision, state, True)])])

    async def follow(self) -> None:
        """One step of the relay, as its task would make it."""
        await self.relay.step()

    def world(self) -> World:
        """What routes see."""
        return World(
            clock=self.clock,
            view=self.view,
            relay=self.relay,
            hub=self.hub,
            states=StatesOfRedis(self.redis),
            devices=self.truth,
            at_hand=self.truth,
            history=History(self.truth),
            quarantine=Quarantine(self.truth),
            saved_states=self.truth,
            truth=self.truth,
            gate=self.gate,
            limiter=self.limiter,
            audit=Audit(self.truth),
            login=WeChatLogin(self.wechat, self.people, self.gate.rules, self.clock) if self.wechat else None,
            desk=self.desk,
            issuing=IssuePorts(
                self.desk, StatesOfRedis(self.redis), self.truth, self.keys, self.clock, self.figures, uuid4
            ),
            figures=self.figures,
            incidents=Incidents(self.truth),
            enrolment=self.newcomers,
            broker=BrokerSide(self.newcomers, BROKER_SECRET, BROKER_ADDRESS),
        )


async def figures(surface: Surface) -> dict[str, Metric]:
    """What /metrics tells, by name."""
    text = (await surface.http.get("/metrics")).text
    return {family.name: family for family in text_string_to_metric_families(text)}


def requests_in(told: Mapping[str, Metric]) -> dict[tuple[str, str], float]:
    """How many requests, by route and class of status."""
    return {
        (sample.labels["route"], sample.labels["status"]): sample.value
        for sample in told["latchkey_api_request_seconds"].samples
        if sample.name.endswith("_count")
    }


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[Surface]:
    """A surface on a free port of loopback; its feed has begun. Its `http` is an operator_admin of operator 1."""
    doors = options.get("doors", Doors())
    surface = Surface(doors)
    surface.wechat = options.get("wechat")
    await surface.begin()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        sweep = asyncio.create_task(surface.hub.sweep())
        telemetry = ApiTelemetry(surface.view, surface.relay, surface.hub, surface.figures)
        yield {"world": surface.world(), "live": surface.hub, "telemetry": telemetry}
        sweep.cancel()
        await asyncio.wait((sweep,))

    app = routing.surface(
        lifespan, doors, web_dir=options.get("web_dir"), monotonic_s=asyncio.get_running_loop().time
    )
    server = server_for(app, log_level="error")
    surface.connections = server.server_state.connections
    with bound("127.0.0.1", 0) as listener:
        surface.port = listener.getsockname()[1]
        serve = asyncio.create_task(server.serve(sockets=[listener]))
        await until_async(lambda: server.started)
        base = f"http://127.0.0.1:{surface.port}"
        try:
            async with httpx.AsyncClient(
                base_url=base, trust_env=False, verify=NO_TLS, timeout=30, headers=surface.headers()
            ) as surface.http:
                yield surface
        finally:
            server.should_exit = True
            await serve
