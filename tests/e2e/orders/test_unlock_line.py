"""The thinnest line end to end: a wish, a signed frame through a real broker, an opening, evidence; and its ends when
something dies in between."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from cli.stack import Stack
from firmware_protocol.commands import CommandKind
from gateway.command_ports import CommandRecord, Issued
from gateway.commands.issue import RefusedWish
from gateway.core.command import Phase
from gateway.core.issue_conditions import Refusal
from tests.support.gateway_rig import GatewayRig, gateway_rig
from tests.support.stored import ask
from tests.support.unlock_line import Line, becomes_true, lined_up
from tests.support.waiting import until_async


@pytest.fixture(scope="module")
def gateway(
    stack: Stack, shared_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayRig]:
    """One for all tests of this file, whatever each does to it."""
    with gateway_rig(stack, shared_database, tmp_path_factory.mktemp("gateway"), devices=0) as started:
        yield started


@pytest.fixture
async def line(gateway: GatewayRig) -> AsyncIterator[Line]:
    """With a new bike."""
    with gateway.lent(devices=1) as rig:
        async with lined_up(rig, rig.stack.redis.url()) as made:
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
    ask(line.dsn, "update device set status = 3 where device_id = %s", (line.device_id,))
    outcome = await line.wish()
    assert isinstance(outcome, RefusedWish)
    assert [one.reason for one in outcome.reasons] == [Refusal.NOT_ACTIVE]


async def test_a_device_that_left_hears_nothing_when_it_comes_back(line: Line, stack: Stack) -> None:
    stack.broker.set_devices({})
    await until_async(lambda: not line.bike.online.is_set(), what="the broker has let it go")
    command = await line.end_of(await line.issued(ttl_s=2))
    assert command.phase is Phase.UNCONFIRMED
    stack.broker.set_devices({line.device_id: "secret"})
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
    """The `-now` session needs PostgreSQL only, and evidence is looked for in the reports that wait."""
    await asyncio.to_thread(line.gateway.stop)
    # A gateway that stops saves what it believes: the way to it while Redis is away.
    await asyncio.to_thread(line.gateway.start)
    await line.heard()
    stack.redis.kill()
    try:
        command = await line.issued(CommandKind.LOCATE)
        assert (await line.end_of(command)).phase is Phase.CONFIRMED
        unlock = await line.issued()
        assert (await line.end_of(unlock)).phase is Phase.CONFIRMED
    finally:
        stack.redis.start()
    assert len(line.bike.deeds) == 1
