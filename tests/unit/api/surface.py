"""The API on a real port with stores in memory."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
from fastapi import FastAPI

from api import routing
from api.app import StatesOfRedis, live_map
from api.auth.doors import Doors
from api.auth.gate import Gate
from api.auth.limits import Limiter
from api.auth.principal import Principal, Role
from api.auth.tokens import TokenRules, mint
from api.live.entrance import Entrance
from api.server import bound, server_for
from api.telemetry import ApiTelemetry
from api.world import World
from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import SHARDS, shard_of
from gateway.commands.issue import IssuePorts
from gateway.core.device import DeviceModel, DeviceRecord, Kind, Status
from gateway.core.live_state import LiveState, MapEntry, Presence
from gateway.ports import ShardSteps, Step, StoreUnavailable
from gateway.rates import LocalRateLimits
from gateway.reading import (
    AuditRow,
    BadCursor,
    BadRange,
    HistoryPage,
    HistoryQuestion,
    IncidentRow,
    KnownDevice,
    QuarantineRow,
)
from tests.support.fakes.clock import FakeClock
from tests.support.fakes.command_link import FakeCommandCounters
from tests.support.fakes.commands import FakeCommands
from tests.support.fakes.device_keys import FakeDeviceKeys
from tests.support.fakes.interruptions import Interruptions
from tests.support.fakes.live_states import FakeLiveStates
from tests.support.fakes.people import FakePeople
from tests.support.waiting import until_async

MODEL = DeviceModel(model="city-bike", kind=Kind.BIKE, heartbeat_s=60, quiet_after_s=150, lost_after_s=600)
NOW_MS = 1_790_000_000_000
SECRET = b"the secret of the tests, 32 bytes and more"


def known(
    device_id: str, *, public_id: str = "", home: tuple[int, int] | None = None, operator_id: int = 1
) -> KnownDevice:
    """A registered bike."""
    record = DeviceRecord(
        device_no=len(device_id),
        device_id=DeviceId(device_id),
        operator_id=operator_id,
        model=MODEL.model,
        status=Status.ACTIVE,
        public_id=public_id or f"p-{device_id}",
        marker=123_456_789,
        home_lat_e7=home[0] if home else None,
        home_lon_e7=home[1] if home else None,
    )
    return KnownDevice(record, MODEL)


@dataclass
class Truth:
    """PostgreSQL in memory."""

    registered: list[KnownDevice] = field(default_factory=list)
    points: HistoryPage = field(default_factory=lambda: HistoryPage([], None))
    asked: list[HistoryQuestion] = field(default_factory=list)
    frames: list[QuarantineRow] = field(default_factory=list)
    incidents: list[IncidentRow] = field(default_factory=list)
    audited: list[AuditRow] = field(default_factory=list)
    states: dict[int, LiveState] = field(default_factory=dict)
    is_away: bool = False

    async def ping(self) -> None:
        if self.is_away:
            raise StoreUnavailable("gone")

    async def find(self, name: str, *, operator_id: int) -> KnownDevice | None:
        await self.ping()
        own = [one.record for one in self.registered if one.record.operator_id == operator_id]
        found = next((one for one in own if name in (one.device_id, one.public_id)), None)
        return next((one for one in self.registered if one.record is found), None)

    async def page(self, after: str, limit: int, *, operator_id: int) -> Sequence[KnownDevice]:
        await self.ping()
        own = [one for one in self.registered if one.record.operator_id == operator_id]
        return [one for one in own if one.record.device_id > after][:limit]

    async def saved(self, device_no: int) -> LiveState | None:
        await self.ping()
        return self.states.get(device_no)


@dataclass
class History:
    """Answers what it was told to."""

    truth: Truth

    async def page(self, question: HistoryQuestion) -> HistoryPage:
        await self.truth.ping()
        self.truth.asked.append(question)
        if question.after == "forged":
            raise BadCursor
        if question.step == "raw" and question.to_ms - question.from_ms > 92 * 86_400_000:
            raise BadRange("a range of step raw is at most 92 days wide")
        return self.truth.points


@dataclass
class Quarantine:
    """Rows with falling numbers, all of operator 1."""

    truth: Truth

    async def page(self, before: int | None, limit: int, *, operator_id: int) -> Sequence[QuarantineRow]:
        await self.truth.ping()
        own = self.truth.frames if operator_id == 1 else []
        return [row for row in own if before is None or row.number < before][:limit]


@dataclass
class Incidents:
    """Rows with falling numbers, all of operator 1."""

    truth: Truth

    async def page(self, operator_id: int, before: int | None, limit: int) -> Sequence[IncidentRow]:
        await self.truth.ping()
        own = self.truth.incidents if operator_id == 1 else []
        return [row for row in own if before is None or row.number < before][:limit]


@dataclass
class Audit:
    """Rows with falling numbers, all of operator 1."""

    truth: Truth

    async def page(self, operator_id: int, before: int | None, limit: int) -> Sequence[AuditRow]:
        await self.truth.ping()
        own = self.truth.audited if operator_id == 1 else []
        return [row for row in own if before is None or row.number < before][:limit]


class Surface:
    """A running API and all it stands on."""

    def __init__(self, doors: Doors) -> None:
        self.interruptions = Interruptions()
        self.redis = FakeLiveStates(self.interruptions)
        self.truth = Truth()
        self.clock = FakeClock(NOW_MS)
        self.port = 0
        self.people = FakePeople()
        rules = TokenRules("latchkey", "latchkey-api", (SECRET,))
        self.gate = Gate(rules, self.people, self.people, self.clock)
        local = LocalRateLimits(self.clock.monotonic_s)
        self.limiter = Limiter(local, local, doors)
        self.view, self.relay, self.hub = live_map(self.redis, self.clock, Entrance(self.gate, doors))
        self.desk = FakeCommands(self.clock, None, self.interruptions)
        self.keys = FakeDeviceKeys(self.interruptions)
        self.issued = FakeCommandCounters()
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
            history=History(self.truth),
            quarantine=Quarantine(self.truth),
            saved_states=self.truth,
            truth=self.truth,
            gate=self.gate,
            limiter=self.limiter,
            audit=Audit(self.truth),
            desk=self.desk,
            issuing=IssuePorts(
                self.desk, StatesOfRedis(self.redis), self.truth, self.keys, self.clock, self.issued, uuid4
            ),
            incidents=Incidents(self.truth),
        )


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[Surface]:
    """A surface on a free port of loopback; its feed has begun. Its `http` is an operator_admin of operator 1."""
    doors = options.get("doors", Doors())
    surface = Surface(doors)
    await surface.begin()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        sweep = asyncio.create_task(surface.hub.sweep())
        telemetry = ApiTelemetry(surface.view, surface.relay, surface.hub)
        yield {"world": surface.world(), "live": surface.hub, "telemetry": telemetry}
        sweep.cancel()
        await asyncio.wait((sweep,))

    app = routing.surface(
        lifespan, doors, web_dir=options.get("web_dir"), monotonic_s=asyncio.get_running_loop().time
    )
    server = server_for(app, log_level="error")
    with bound("127.0.0.1", 0) as listener:
        surface.port = listener.getsockname()[1]
        serve = asyncio.create_task(server.serve(sockets=[listener]))
        await until_async(lambda: server.started)
        base = f"http://127.0.0.1:{surface.port}"
        try:
            async with httpx.AsyncClient(
                base_url=base, trust_env=False, timeout=30, headers=surface.headers()
            ) as surface.http:
                yield surface
        finally:
            server.should_exit = True
            await serve
