"""The thinnest line end to end: a wish, a signed frame through a real broker, an opening, evidence; and its ends when
something dies in between."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from cli.child_process import ChildProcess
from cli.stack import Stack
from firmware_protocol.commands import CommandKind
from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import shard_of
from gateway.clock import SystemClock
from gateway.command_counting import MetricCommandCounters
from gateway.command_ports import CommandRecord, Issued
from gateway.commands.issue import IssuePorts, RefusedWish, Wish, issue
from gateway.core.command import SETTLED, Phase
from gateway.core.device import DeviceModel, DeviceRecord, Kind
from gateway.core.issue_conditions import Refusal
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
from gateway.stores.registration import NewDevice, bulk_register
from gateway.stores.saved_states import PostgresSavedStates
from tests.support.obedient_bike import ObedientBike
from tests.support.stored import ask
from tests.support.waiting import until_async

MODEL = DeviceModel("line-bike", Kind.BIKE, heartbeat_s=30, quiet_after_s=75, lost_after_s=600)
BIKE = DeviceId("line-0001")
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

    def __init__(self, dsn: str, gateway: ChildProcess, bike: ObedientBike, ports: IssuePorts) -> None:
        self.dsn = dsn
        self.gateway = gateway
        self.bike = bike
        self.ports = ports
        self.desk = ports.desk

    def device(self) -> DeviceRecord:
        (row,) = ask(self.dsn, f"select {DEVICE_COLUMNS} from device where device_id = %s", (BIKE,))
        return device_record(row)

    async def wish(self, kind: CommandKind = CommandKind.UNLOCK, *, ttl_s: int = 10) -> Any:
        key = str(uuid4())
        wish = Wish(self.device(), MODEL, kind, "staff:ada", key, ttl_s=ttl_s, why="a test")
        return await issue(wish, self.ports)

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
            state = await self.ports.live_states.get(BIKE)
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
async def lined_up(stack: Stack, dsn: str, redis_url: str, folder: Path) -> AsyncIterator[Line]:
    environment = stack.environment(dsn=dsn)
    with psycopg.connect(dsn) as connection:
        bulk_register(connection, [MODEL], [NewDevice(BIKE, MODEL.model)])
    stack.broker.set_devices({BIKE: "secret"})
    wrapping, clock = KeyWrapping.from_environment(environment), SystemClock()
    link = PostgresLink(dsn, name="identity")
    key = await PostgresDeviceIdentity(link, wrapping).change_key(BIKE, By("staff:ada", "staff"))
    await link.close()
    live, pool, keys = LiveStateOfRedis(redis_url), ReadingPool(dsn), PostgresDeviceKeys(dsn, wrapping, clock)
    await pool.open()
    desk = PostgresCommandDesk(dsn, chance=lambda: 0.5)
    ports = IssuePorts(
        desk, live, PostgresSavedStates(pool), keys, clock, MetricCommandCounters(), lambda: uuid4()
    )
    bike = ObedientBike(stack.broker.device_port, BIKE, "secret", key, MODEL.model)
    gateway = ChildProcess(["gateway"], environment, folder)
    try:
        await asyncio.to_thread(gateway.start)
        async with background(desk.run()), background(bike.run()):
            yield Line(dsn, gateway, bike, ports)
    finally:
        await asyncio.to_thread(gateway.close)
        await desk.close()
        await keys.close()
        await pool.close()
        await live.link.close()


@pytest.fixture
async def line(stack: Stack, database: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Line]:
    async with lined_up(stack, database, redis_url, tmp_path) as made:
        await made.heard()
        yield made


async def test_an_unlock_is_confirmed_by_what_the_bolt_says(line: Line) -> None:
    command = await line.end_of(await line.issued())
    assert (command.phase, len(line.bike.deeds)) == (Phase.CONFIRMED, 1)
    story = await line.story(command)
    assert story[:3] == ["requested", "issued", "claimed"]
    assert {"published", "device_ack", "evidence"} <= set(story)
    assert (await line.wish()).reasons[0].reason is Refusal.ALREADY_OPEN
    await line.bike.close_bolt()
    again: CommandRecord = await until_async(lambda: _issued(line))
    assert (await line.end_of(again)).phase is Phase.CONFIRMED
    assert [deed.fence for deed in line.bike.deeds] == [command.fence, again.fence]


async def _issued(line: Line) -> CommandRecord | None:
    outcome = await line.wish()
    return outcome.command if isinstance(outcome, Issued) else None


async def test_a_kind_that_may_be_repeated_is_answered_by_the_broker_too(line: Line) -> None:
    command = await line.end_of(await line.issued(CommandKind.LOCATE))
    assert command.phase is Phase.CONFIRMED

    async def told() -> bool:
        return "broker_ack" in await line.story(command)

    await becomes_true(told, "the broker has answered")


async def test_the_device_is_gone_so_nothing_waits_for_it_anywhere(line: Line) -> None:
    ask(line.dsn, "update device set status = 3 where device_id = %s", (BIKE,))
    outcome = await line.wish()
    assert isinstance(outcome, RefusedWish)
    assert [one.reason for one in outcome.reasons] == [Refusal.NOT_ACTIVE]


async def test_a_device_that_left_hears_nothing_when_it_comes_back(
    stack: Stack, database: str, redis_url: str, tmp_path: Path
) -> None:
    async with lined_up(stack, database, redis_url, tmp_path) as line:
        await line.heard()
        stack.broker.set_devices({})
        await until_async(lambda: not line.bike.online.is_set(), what="the broker has let it go")
        command = await line.end_of(await line.issued(ttl_s=2))
        assert command.phase is Phase.UNCONFIRMED
        stack.broker.set_devices({BIKE: "secret"})
        await line.bike.online.wait()

        async def failed() -> bool:
            # Once it is made so long after the end that no motor turns any more, it shows that nothing opened.
            await line.bike.report()
            found = await line.desk.find(command.command_id)
            return found is not None and found.phase is Phase.FAILED

        await becomes_true(failed, "the bike says that it did not open")
        assert (line.bike.heard, line.bike.deeds) == ([], [])


def killing(line: Line) -> Callable[[], None]:
    """Once, and at once."""
    killed: list[bool] = []

    def kill() -> None:
        if not killed:
            killed.append(True)
            line.gateway.kill()

    return kill


async def test_a_gateway_that_is_gone_claims_nothing_and_the_next_one_lets_it_expire(line: Line) -> None:
    line.gateway.kill()
    command = await line.issued(ttl_s=2)
    await asyncio.to_thread(line.gateway.start)
    end = await line.end_of(command)
    assert end.phase in (Phase.EXPIRED, Phase.CONFIRMED)
    assert len(line.bike.deeds) == (end.phase is Phase.CONFIRMED)


async def test_killed_after_sent_it_ends_and_opens_once(line: Line) -> None:
    line.bike.says_acks = line.bike.says_reports = False
    command = await line.issued()
    await line.reaches(command, Phase.SENT)
    # Before the frame left, or after: then the next gateway sends the same bytes, and the bike obeys them once.
    line.gateway.kill()
    line.bike.says_acks = line.bike.says_reports = True
    await asyncio.to_thread(line.gateway.start)
    await until_async(lambda: line.bike.deeds)
    await line.bike.report()
    assert (await line.end_of(command)).phase is Phase.CONFIRMED
    assert len(line.bike.deeds) == 1


async def test_killed_while_the_bolt_moves_it_ends_and_opens_once(line: Line) -> None:
    line.bike.executing = killing(line)
    command = await line.issued()
    await until_async(lambda: line.bike.deeds)
    await asyncio.to_thread(line.gateway.start)
    assert (await line.end_of(command)).phase is Phase.CONFIRMED
    assert len(line.bike.deeds) == 1


async def test_killed_between_ack_and_evidence_it_ends_and_opens_once(line: Line) -> None:
    line.bike.says_reports = False
    command = await line.issued(ttl_s=3)
    await line.reaches(command, Phase.EXECUTED)
    line.gateway.kill()
    await asyncio.to_thread(line.gateway.start)
    assert (await line.end_of(command)).phase is Phase.UNCONFIRMED
    line.bike.says_reports = True
    await line.bike.report()
    await line.reaches(command, Phase.CONFIRMED)
    assert len(line.bike.deeds) == 1


async def test_a_graceful_stop_leaves_nothing_half_done(line: Line) -> None:
    line.bike.says_acks = False
    command = await line.issued()
    await line.reaches(command, Phase.SENT, Phase.CONFIRMED)
    assert await asyncio.to_thread(line.gateway.stop) == 0
    assert "published" in await line.story(command)
    await asyncio.to_thread(line.gateway.start)
    assert (await line.end_of(command)).phase is Phase.CONFIRMED
    assert len(line.bike.deeds) == 1


async def test_without_redis_commands_and_answers_go_on(line: Line, stack: Stack) -> None:
    """The `-now` session needs PostgreSQL only; evidence waits with the reports."""
    await asyncio.to_thread(line.gateway.stop)
    # A gateway that stops saves what it believes: the way to it while Redis is away.
    await asyncio.to_thread(line.gateway.start)
    await line.heard()
    stack.redis.kill()
    try:
        command = await line.issued(CommandKind.LOCATE)
        assert (await line.end_of(command)).phase is Phase.CONFIRMED
        unlock = await line.issued()
        await line.reaches(unlock, Phase.EXECUTED, Phase.CONFIRMED)
    finally:
        stack.redis.start()
    await line.reaches(unlock, Phase.CONFIRMED)
    assert len(line.bike.deeds) == 1
