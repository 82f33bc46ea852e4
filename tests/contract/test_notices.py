"""Notices are heard, and after a lost connection heard again."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from firmware_protocol.commands import CommandKind
from gateway.core.command import Happening, Phase
from gateway.stores.command_rows import command_heard
from gateway.stores.notices import DEVICES_CHANNEL, SETTLED_CHANNEL, Notices, command_channel
from tests.support.command_world import LANE, PostgresWorld, issued, moved, sent
from tests.support.stored import ask
from tests.support.waiting import until_async

KILL = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'latchkey-notices'"
CHANNELS = (SETTLED_CHANNEL, DEVICES_CHANNEL, command_channel(LANE))


class Ear:
    """Notices, and what came of them."""

    def __init__(self, dsn: str) -> None:
        self.heard: list[tuple[str, str]] = []
        self.began = 0
        self.notices = Notices(
            dsn,
            {name: lambda payload, name=name: self.heard.append((name, payload)) for name in CHANNELS},  # type: ignore[misc]  # a lambda's default
            chance=lambda: 0.0,
            listening=self._begin,
        )

    def _begin(self) -> None:
        self.began += 1


@pytest.fixture
async def ear(database: str) -> AsyncIterator[Ear]:
    made = Ear(database)
    running = asyncio.create_task(made.notices.run())
    await until_async(lambda: made.began)
    yield made
    running.cancel()
    await asyncio.wait((running,))


async def test_issuing_and_settling_and_suspending_are_noticed(ear: Ear, database: str) -> None:
    world = PostgresWorld(database)
    command = await moved(world, await sent(world), Happening.DONE)
    ask(database, "update device set status = 3 where device_id = %s", (command.device_id,))
    await until_async(lambda: (DEVICES_CHANNEL, "") in ear.heard)
    told = {name: command_heard(payload) for name, payload in ear.heard}
    ordered = told[command_channel(LANE)]
    assert ordered is not None
    assert (ordered.command_id, ordered.phase) == (command.command_id, Phase.ISSUED)
    assert told[SETTLED_CHANNEL] == command
    await world.close()


async def test_a_command_too_long_for_a_notice_is_told_by_its_id(ear: Ear, database: str) -> None:
    world = PostgresWorld(database)
    long = await issued(world, kind=CommandKind.CONFIGURE, settings={f"n{n}": "x" * 120 for n in range(70)})
    await until_async(lambda: (command_channel(LANE), str(long.command_id)) in ear.heard)
    assert command_heard(str(long.command_id)) is None
    await world.close()


async def test_a_command_that_is_only_on_its_way_settles_nothing(ear: Ear, database: str) -> None:
    world = PostgresWorld(database)
    await moved(world, await sent(world), Happening.ACK_ACCEPTED, Happening.ACK_EXECUTED)
    ask(database, "notify lk_devices, 'end'")
    await until_async(lambda: (DEVICES_CHANNEL, "end") in ear.heard)
    assert [payload for name, payload in ear.heard if name == SETTLED_CHANNEL] == []
    await world.close()


async def test_listening_begins_again_and_says_so(ear: Ear, database: str) -> None:
    for round_no in (1, 2, 3):
        assert ear.notices.live
        ask(database, KILL)
        await until_async(lambda began=round_no: ear.began > began)  # type: ignore[misc]  # a lambda's default
        ask(database, f"notify lk_devices, '{round_no}'")
        await until_async(lambda said=str(round_no): (DEVICES_CHANNEL, said) in ear.heard)  # type: ignore[misc]  # same


async def test_while_postgresql_is_out_of_reach_it_tries_on() -> None:
    ear = Ear("host=127.0.0.1 port=1 dbname=none")
    running = asyncio.create_task(ear.notices.run())
    await asyncio.wait((running,), timeout=0.5)
    assert not running.done()
    assert not ear.notices.live
    running.cancel()
    await asyncio.wait((running,))
