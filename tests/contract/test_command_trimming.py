"""Commands go when they are old and nothing was said of them since; keys after two days."""

from uuid import uuid4

import psycopg
import pytest
from msgspec import structs

from firmware_protocol.commands import CommandKind
from gateway.command_ports import Issued
from gateway.core.command import Happening
from tests.support.command_world import PostgresWorld, issued, moved, sent, wish
from tests.support.stored import DAY_MS, ask

AGED = (
    "update command set settled_at = settled_at - interval '500 days'",
    "alter table command_event disable trigger all",
    "update command_event set at = at - interval '450 days'",
    "alter table command_event enable trigger all",
    "update command_key set made_at = made_at - interval '3 days'",
)


async def test_old_commands_go_with_their_story_and_open_or_recent_ones_stay(database: str) -> None:
    world = PostgresWorld(database)
    old = await moved(world, await sent(world, slot=1), Happening.DONE)
    waiting = await issued(world, slot=2)
    for change in AGED:
        ask(database, change)
    recent = await moved(world, await sent(world, slot=3), Happening.DONE)
    kept_key = ask(database, "select count(*) from command_key where made_at > now() - interval '1 day'")
    assert await world.postgres_store.trim(world.now_ms()) == 1
    assert await world.postgres_store.trim(world.now_ms()) == 0
    left = {row[0] for row in ask(database, "select command_id from command")}
    assert left == {waiting.command_id, recent.command_id}
    assert old.command_id not in {row[0] for row in ask(database, "select command_id from command_event")}
    assert ask(database, "select count(*) from command_key") == kept_key == [(1,)]
    await world.close()


async def test_a_story_that_is_not_old_enough_cannot_be_forgotten(database: str) -> None:
    world = PostgresWorld(database)
    await moved(world, await sent(world), Happening.DONE)
    with pytest.raises(psycopg.Error, match="append-only"):
        ask(database, "delete from command")
    await world.close()


async def test_a_gateway_whose_clock_is_ahead_forgets_no_key_and_no_command(database: str) -> None:
    """A repeated wish must find its key, or it unlocks a second time."""
    world = PostgresWorld(database)
    await moved(world, await sent(world, slot=1), Happening.DONE)
    new = wish(world.device(), world.now_ms(), kind=CommandKind.LOCATE, slot=0, idempotency_key="the wish")
    first = await world.desk.issue(new)
    assert await world.postgres_store.trim(world.now_ms() + 500 * DAY_MS) == 0
    again = await world.desk.issue(structs.replace(new, command_id=uuid4()))
    assert isinstance(first, Issued)
    assert isinstance(again, Issued)
    assert again.repeated
    await world.close()
