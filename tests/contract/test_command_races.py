"""Many who want commands at the same time, and connections that die in between."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial

import psycopg
import pytest
from msgspec import structs

from firmware_protocol.commands import CommandKind
from gateway.command_ports import Issued, SlotBusy
from gateway.ports import StoreUnavailable
from gateway.stores.command_desk import PostgresCommandDesk
from tests.support.command_world import DEVICE_ID, OTHER_ID, PostgresWorld, sent, surely, wish
from tests.support.stored import CABINET, ask, register


@pytest.fixture
async def postgres(database: str) -> AsyncIterator[PostgresWorld]:
    made = PostgresWorld(database)
    yield made
    await made.close()


async def test_of_many_that_want_a_slot_one_gets_it(postgres: PostgresWorld, database: str) -> None:
    """A1: 64 at once from two pools, 100 rounds: one winner each, no deadlock, nobody fails."""
    other = PostgresCommandDesk(database, chance=lambda: 0.5)
    device = postgres.device()
    for _ in range(100):
        wishes = [wish(device, postgres.now_ms()) for _ in range(64)]
        desks = (postgres.desk, other)
        outcomes = await asyncio.gather(*(desks[n % 2].issue(new) for n, new in enumerate(wishes)))
        winners = [outcome.command for outcome in outcomes if isinstance(outcome, Issued)]
        assert len(winners) == 1
        assert {o.command_id for o in outcomes if isinstance(o, SlotBusy)} == {winners[0].command_id}
        await postgres.desk.cancel(winners[0].command_id, postgres.now_ms(), "staff:ada", "")
    assert ask(database, "select deadlocks from pg_stat_database where datname = current_database()") == [
        (0,)
    ]
    assert ask(database, "select count(*), count(distinct command_id) from command_key") == [(100, 100)]
    assert ask(database, "select count(*) from command_event where what = 'issued'") == [(100,)]
    await other.close()


async def test_a_thousand_equal_requests_at_once_are_one_command(
    postgres: PostgresWorld, database: str
) -> None:
    """A4: the same key from two processes' pools; another body under it is told apart."""
    other = PostgresCommandDesk(database, chance=lambda: 0.5)
    key = "the same"
    device = postgres.device()
    wishes = [wish(device, postgres.now_ms(), idempotency_key=key) for _ in range(1_000)]
    desks = (postgres.desk, other)
    outcomes = await asyncio.gather(*(desks[n % 2].issue(new) for n, new in enumerate(wishes)))
    commands = [outcome.command for outcome in outcomes if isinstance(outcome, Issued)]
    assert len(commands) == 1_000
    assert len({command.command_id for command in commands}) == 1
    assert sum(not outcome.repeated for outcome in outcomes if isinstance(outcome, Issued)) == 1
    assert ask(database, "select count(*), max(fence) from command") == [(1, 1)]
    assert ask(database, "select count(*) from audit") == [(1,)]
    await other.close()


async def test_batches_that_name_the_same_devices_in_other_orders_never_wait_for_each_other(
    postgres: PostgresWorld, database: str
) -> None:
    names = [f"cabinet-{number:02d}" for number in range(20)]
    register(database, *names, model=CABINET)
    devices = [postgres.device(name) for name in names]
    other = PostgresCommandDesk(database, chance=lambda: 0.5)
    for round_no in range(10):
        there = [postgres.desk.issue(wish(one, postgres.now_ms(), slot=round_no)) for one in devices]
        back = [other.issue(wish(one, postgres.now_ms(), slot=round_no)) for one in reversed(devices)]
        outcomes = await asyncio.gather(*there, *back)
        issued_now = [one.command.device_id for one in outcomes if isinstance(one, Issued)]
        assert sorted(issued_now) == names
    assert ask(database, "select deadlocks from pg_stat_database where datname = current_database()") == [
        (0,)
    ]
    assert ask(database, "select count(*) from audit") == [(200,)]
    await other.close()


async def test_a_device_that_changed_hands_holds_up_nobody(postgres: PostgresWorld, database: str) -> None:
    """It has an order that is not settled in each of two slots: both are asked for, as many as are issued side by side,
    and another device's order between them."""
    for slot in (1, 2):
        await sent(postgres, slot=slot)
    ask(database, "insert into operator (operator_id, name) values (2, 'two')")
    ask(database, "update device set operator_id = 2 where device_id = %s", (DEVICE_ID,))
    device, other = postgres.device(), postgres.device(OTHER_ID)
    async with asyncio.timeout(4):  # PostgreSQL itself would end a statement after eight
        busy = [asyncio.create_task(postgres.desk.issue(wish(device, postgres.now_ms(), slot=1)))]
        await asyncio.sleep(0)
        busy.append(asyncio.create_task(postgres.desk.issue(wish(device, postgres.now_ms(), slot=2))))
        await asyncio.sleep(0)
        outcome = await postgres.desk.issue(wish(other, postgres.now_ms()))
        assert isinstance(outcome, Issued)
        assert await asyncio.gather(*busy) == [SlotBusy(None, None)] * 2


async def test_one_that_cannot_be_issued_spoils_it_for_nobody(postgres: PostgresWorld) -> None:
    device = postgres.device()
    wishes = [wish(device, postgres.now_ms(), slot=slot) for slot in range(1, 6)]
    nobodys = structs.replace(device, operator_id=77)
    wishes[2] = wish(nobodys, postgres.now_ms(), slot=3)
    outcomes = await asyncio.gather(*(postgres.desk.issue(new) for new in wishes), return_exceptions=True)
    assert isinstance(outcomes[2], psycopg.IntegrityError)
    assert all(isinstance(outcomes[place], Issued) for place in (0, 1, 3, 4))


async def test_an_answer_that_was_lost_is_found_under_the_same_key(
    postgres: PostgresWorld, database: str
) -> None:
    """A11, A4: the backend is killed while it issues; the same request again gives one command."""
    kill = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'latchkey-desk'"
    for round_no in range(20):
        new = wish(
            postgres.device(),
            postgres.now_ms(),
            kind=CommandKind.LOCATE,
            slot=0,
            idempotency_key=f"{round_no}",
        )
        first = asyncio.create_task(postgres.desk.issue(new))
        await asyncio.to_thread(ask, database, kill)
        with suppress(StoreUnavailable):
            await first
        outcome = await surely(partial(postgres.desk.issue, new))
        assert isinstance(outcome, Issued)
        assert outcome.command.command_id == new.command_id
    assert ask(database, "select count(*) from command") == [(20,)]
    told = "select count(*) from command_event where what = 'issued'"
    assert ask(database, told) == ask(database, "select count(*) from audit") == [(20,)]
