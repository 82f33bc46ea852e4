"""A gateway on real servers, a bike that obeys it, and a person who wishes: the unlock line, whole."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from api.order_figures import OrderFigures
from cli.child_process import ChildProcess
from firmware_protocol.commands import CommandKind
from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import shard_of
from gateway.clock import SystemClock
from gateway.command_ports import CommandRecord, DeviceChanged, Issued
from gateway.commands.issue import IssuePorts, Wish, issue
from gateway.core.command import SETTLED, Phase
from gateway.core.device import DeviceRecord
from gateway.core.live_state import LiveState
from gateway.key_wrapping import KeyWrapping
from gateway.stores.command_desk import PostgresCommandDesk
from gateway.stores.device_identity import By, PostgresDeviceIdentity
from gateway.stores.device_keys import PostgresDeviceKeys
from gateway.stores.device_rows import DEVICE_COLUMNS, device_record
from gateway.stores.live_states import RedisLiveStates
from gateway.stores.postgres_link import PostgresLink
from gateway.stores.reading_pool import ReadingPool
from gateway.stores.redis_link import RedisLink
from gateway.stores.saved_states import PostgresSavedStates
from tests.support.gateway_rig import MODEL, GatewayRig
from tests.support.obedient_bike import ObedientBike
from tests.support.stored import ask
from tests.support.waiting import until_async

ENDS = SETTLED | {Phase.UNCONFIRMED}


async def becomes_true(question: Callable[[], Awaitable[bool]], what: str) -> None:
    answer: bool = await until_async(question, what=what)
    assert answer


class LiveStateOfRedis:
    """Implements `LiveStateOf`."""

    def __init__(self, url: str) -> None:
        self.link = RedisLink(url, name="line")
        self._states = RedisLiveStates(self.link)

    async def get(self, device_id: DeviceId) -> LiveState | None:
        return (await self._states.load({shard_of(device_id): [device_id]})).get(device_id)


class Line:
    """A gateway, a bike, and a person at the desk."""

    def __init__(
        self, dsn: str, gateway: ChildProcess, device_id: DeviceId, bike: ObedientBike, ports: IssuePorts
    ) -> None:
        self.dsn = dsn
        self.gateway = gateway
        self.device_id = device_id
        self.bike = bike
        self.ports = ports
        self.desk = ports.desk

    def device(self) -> DeviceRecord:
        (row,) = ask(self.dsn, f"select {DEVICE_COLUMNS} from device where device_id = %s", (self.device_id,))
        return device_record(row)

    async def wish(self, kind: CommandKind = CommandKind.UNLOCK, *, ttl_s: int = 10) -> Any:
        """Looked at again, as the API does, while the live state is behind what the device did: a command settles a
        moment before the report that settled it shows in Redis."""
        key = str(uuid4())

        async def judged() -> object:
            wish = Wish(self.device(), MODEL, kind, "staff:ada", key, ttl_s=ttl_s, why="a test")
            outcome = await issue(wish, self.ports)
            return None if isinstance(outcome, DeviceChanged) else outcome

        return await until_async(judged, what="the live state shows what the device did")

    async def issued(self, kind: CommandKind = CommandKind.UNLOCK, *, ttl_s: int = 10) -> CommandRecord:
        outcome = await self.wish(kind, ttl_s=ttl_s)
        assert isinstance(outcome, Issued), outcome
        return outcome.command

    async def end_of(self, command: CommandRecord) -> CommandRecord:
        """Settled, or UNCONFIRMED."""
        found = await self.desk.settled(command.command_id, timeout_s=60)
        assert found is not None
        assert found.phase in ENDS, await self.desk.timeline(command.command_id)
        return found

    async def reaches(self, command: CommandRecord, *phases: Phase) -> None:
        async def reached() -> bool:
            found = await self.desk.find(command.command_id)
            return found is not None and found.phase in phases

        await becomes_true(reached, f"phase {phases}")

    async def story(self, command: CommandRecord) -> list[str]:
        return [line.what for line in await self.desk.timeline(command.command_id)]

    async def heard(self) -> None:
        """The gateway knows how the bike is."""

        async def known() -> bool:
            state = await self.ports.live_states.get(self.device_id)
            return state is not None and self.device().boot > 0

        await self.bike.online.wait()
        await until_async(lambda: self.bike.session.boot, what="welcomed")
        await self.bike.report()
        await becomes_true(known, "the gateway has heard the bike")


@asynccontextmanager
async def background(work: Any) -> AsyncIterator[None]:
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,))


@asynccontextmanager
async def lined_up(rig: GatewayRig, redis_url: str) -> AsyncIterator[Line]:
    """The only device of the rig is a bike that obeys; the broker knows nobody else from now on."""
    (device_id,), dsn, stack = rig.devices, rig.dsn, rig.stack
    stack.broker.set_devices({device_id: "secret"})
    wrapping, clock = KeyWrapping.from_environment(stack.environment(dsn=dsn)), SystemClock()
    link = PostgresLink(dsn, name="identity")
    key = await PostgresDeviceIdentity(link, wrapping).change_key(device_id, By("staff:ada", "staff"))
    await link.close()
    live, pool, keys = LiveStateOfRedis(redis_url), ReadingPool(dsn), PostgresDeviceKeys(dsn, wrapping, clock)
    await pool.open()
    desk = PostgresCommandDesk(dsn, chance=lambda: 0.5)
    ports = IssuePorts(desk, live, PostgresSavedStates(pool), keys, clock, OrderFigures(), lambda: uuid4())
    bike = ObedientBike(stack.broker.device_port, device_id, "secret", key, MODEL.model)
    try:
        async with background(desk.run()), background(bike.run()):
            yield Line(dsn, rig.process, device_id, bike, ports)
    finally:
        await desk.close()
        await keys.close()
        await pool.close()
        await live.link.close()
