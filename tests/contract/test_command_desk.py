"""Commands as whoever asks for them meets them: issued once, one at a time for a slot, looked at, waited for."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from msgspec import structs

from firmware_protocol.commands import CommandKind
from gateway.command_ports import DeviceChanged, Issued, KeyReused, SlotBusy, TimelineEntry
from gateway.core.command import Happening, Phase
from gateway.core.device import Status
from gateway.ports import StoreUnavailable
from tests.support.command_world import (
    BOOT,
    DEVICE_ID,
    FakeWorld,
    PostgresWorld,
    World,
    issued,
    moved,
    sent,
    wish,
)
from tests.support.stored import ask


@pytest.fixture
async def postgres(database: str) -> AsyncIterator[PostgresWorld]:
    made = PostgresWorld(database)
    running = asyncio.create_task(made.postgres_desk.run())
    yield made
    running.cancel()
    await asyncio.wait((running,))
    await made.close()


async def test_what_is_issued_is_what_was_asked_for(world: World) -> None:
    new = wish(
        world.device(), world.now_ms(), kind=CommandKind.CONFIGURE, slot=0, settings={"a": 1, "b": True}
    )
    outcome = await world.desk.issue(new)
    assert isinstance(outcome, Issued)
    assert not outcome.repeated
    command = outcome.command
    assert (command.command_id, command.kind, command.slot) == (new.command_id, CommandKind.CONFIGURE, 0)
    assert (command.settings, command.boot, command.fence) == ({"a": 1, "b": True}, BOOT, 1)
    assert (command.issued_ms, command.not_after_ms) == (new.issued_ms, new.not_after_ms)
    assert (command.phase, command.revision, command.sent_ms) == (Phase.ISSUED, 1, None)
    assert (command.openings_before, command.unit_before) == (41, "unit-1")
    assert await world.desk.find(command.command_id) == command
    assert await world.desk.find(uuid4()) is None
    assert await world.desk.timeline(command.command_id) == [
        TimelineEntry(new.requested_ms, "requested", Phase.ISSUED),
        TimelineEntry(new.issued_ms, "issued", Phase.ISSUED, {"fence": 1}),
    ]
    assert await world.desk.timeline(uuid4()) == []


async def test_a_clock_ahead_of_the_databases_issues_nothing(postgres: PostgresWorld, database: str) -> None:
    """Devices judge by the database's clock: they would obey for as much longer."""
    ahead_ms = postgres.now_ms() + 60_000
    with pytest.raises(StoreUnavailable, match="ahead of that of PostgreSQL"):
        await postgres.desk.issue(wish(postgres.device(), ahead_ms))
    assert ask(database, "select (select count(*) from command) + (select count(*) from command_key)") == [
        (0,)
    ]
    assert (await issued(postgres)).phase is Phase.ISSUED


async def test_every_command_has_one_row_in_the_audit_log(postgres: PostgresWorld, database: str) -> None:
    command = await issued(postgres)
    await postgres.desk.cancel(command.command_id, postgres.now_ms(), "operator_admin:bob", "changed my mind")
    await postgres.desk.cancel(command.command_id, postgres.now_ms(), "operator_admin:bob", "again")
    rows = ask(database, "select actor, role, action, subject, why from audit order by audit_no")
    assert rows == [
        ("staff:ada", "staff", "command_issue", f"device:{DEVICE_ID}", "a rider called"),
        ("operator_admin:bob", "operator_admin", "command_cancel", f"device:{DEVICE_ID}", "changed my mind"),
    ]


async def test_fences_rise_per_device(world: World) -> None:
    fences = [(await issued(world, slot=slot)).fence for slot in (1, 2, 3)]
    other = await issued(world, device=world.device("cabinet-b"))
    assert (fences, other.fence) == ([1, 2, 3], 1)


async def test_a_key_stands_for_one_command(world: World) -> None:
    new = wish(world.device(), world.now_ms())
    assert await world.desk.already("staff:ada", new.idempotency_key, new.request_digest) is None
    first = await world.desk.issue(new)
    assert isinstance(first, Issued)
    again = wish(world.device(), world.now_ms(), idempotency_key=new.idempotency_key)
    repeated = Issued(first.command, repeated=True)
    assert await world.desk.issue(again) == repeated
    assert await world.desk.already("staff:ada", new.idempotency_key, new.request_digest) == repeated
    reused = KeyReused(new.command_id)
    assert await world.desk.issue(wish(world.device(), 0, idempotency_key=new.idempotency_key,
                                       request_digest=b"another")) == reused  # fmt: skip
    assert await world.desk.already("staff:ada", new.idempotency_key, b"another") == reused
    assert await world.desk.already("staff:eve", new.idempotency_key, b"another") is None


async def test_a_busy_slot_takes_no_second_one_shot_and_uses_up_no_key(world: World) -> None:
    first = await sent(world, slot=1)
    busy = wish(world.device(), world.now_ms(), slot=1)
    assert await world.desk.issue(busy) == SlotBusy(first.command_id, Phase.SENT)
    unconfirmed = await moved(world, first, Happening.DEADLINE)
    assert await world.desk.issue(busy) == SlotBusy(first.command_id, Phase.UNCONFIRMED)
    assert (await issued(world, slot=2)).slot == 2
    assert (await issued(world, slot=1, kind=CommandKind.LOCATE)).kind is CommandKind.LOCATE
    await moved(world, unconfirmed, Happening.DONE)
    outcome = await world.desk.issue(structs.replace(busy, last_fence=unconfirmed.fence))
    assert isinstance(outcome, Issued)
    assert not outcome.repeated


@pytest.mark.parametrize(
    "change",
    [
        {"status": Status.SUSPENDED},
        {"boot": BOOT - 1},
        {"operator_id": 2},
        {"model": "another"},
        {"device_no": 99},
    ],
)
async def test_a_device_that_is_not_as_it_was_judged_gets_no_command(
    world: World, change: dict[str, Any]
) -> None:
    new = wish(world.device(), world.now_ms())
    if "device_no" in change and isinstance(world, FakeWorld):
        pytest.skip("the fake knows of no device that is gone")
    known_otherwise = structs.replace(new.device, **change)
    if "operator_id" in change and isinstance(world, PostgresWorld):
        ask(world.dsn, "insert into operator (operator_id, name) values (2, 'two')")
    assert await world.desk.issue(structs.replace(new, device=known_otherwise)) == DeviceChanged()
    assert await world.desk.find(new.command_id) is None
    outcome = await world.desk.issue(new)
    assert isinstance(outcome, Issued)
    assert not outcome.repeated, "its key was used up"


async def test_what_was_seen_before_the_last_execution_is_no_count_to_compare_with(world: World) -> None:
    first = await moved(world, await sent(world), Happening.DONE)
    assert (first.openings_before, first.unit_before) == (41, "unit-1")
    saved = await sent(world, last_fence=first.fence - 1, openings_before=None)
    assert (saved.openings_before, saved.unit_before) == (None, "")
    silent = await moved(world, saved, Happening.DEADLINE)
    given_up = await world.desk.abandon(silent.command_id, world.now_ms(), "staff:ada", "")
    older = await sent(world, last_fence=given_up.fence - 1)
    assert (older.openings_before, older.unit_before) == (None, "")
    newer = await sent(world, slot=3, last_fence=older.fence)
    assert (newer.openings_before, newer.unit_before) == (41, "unit-1")
    other_slot = await issued(world, slot=2)
    assert other_slot.openings_before == 41


@pytest.mark.parametrize("happening", [Happening.DONE, Happening.DONE_LATE])
async def test_what_opened_for_one_opens_for_nobody_else_while_the_live_state_does_not_show_it(
    world: World, happening: Happening
) -> None:
    first = await moved(world, await sent(world), happening)
    behind = wish(world.device(), world.now_ms(), last_fence=first.fence - 1)
    assert await world.desk.issue(behind) == DeviceChanged()
    assert await world.desk.find(behind.command_id) is None
    # What opens nothing, what was judged by a saved state, and another slot are not kept from anybody.
    assert (await issued(world, kind=CommandKind.LOCATE)).kind is CommandKind.LOCATE
    assert (await issued(world, slot=2)).slot == 2
    shown = await world.desk.issue(structs.replace(behind, last_fence=first.fence))
    assert isinstance(shown, Issued), "its key was used up, or the fence was not believed"
    assert not shown.repeated


async def test_a_device_that_has_started_anew_may_have_forgotten_what_it_opened(world: World) -> None:
    first = await moved(world, await sent(world), Happening.DONE)
    world.reboot()
    again = await issued(world, last_fence=first.fence - 1)
    assert (again.boot, again.openings_before) == (BOOT + 1, None)


async def test_a_slot_is_as_busy_for_whoever_has_the_device_by_now_who_is_not_told_with_what(
    world: World,
) -> None:
    first = await sent(world)
    before = world.device()
    world.hand_over()
    busy = wish(world.device(), world.now_ms())
    assert await world.desk.issue(busy) == SlotBusy(None, None)
    assert await world.desk.issue(wish(before, world.now_ms())) == SlotBusy(first.command_id, Phase.SENT)
    assert (await issued(world, slot=2)).operator_id == 2
    await moved(world, first, Happening.DEADLINE)
    await world.desk.abandon(first.command_id, world.now_ms(), "staff:ada", "")
    outcome = await world.desk.issue(busy)
    assert isinstance(outcome, Issued), "its key was used up"
    assert not outcome.repeated


async def test_what_was_sent_cannot_be_taken_back(world: World) -> None:
    command = await issued(world)
    at_ms = world.now_ms()
    gone = await world.desk.cancel(command.command_id, at_ms, "staff:ada", "a mistake")
    assert (gone.phase, gone.settled_ms, gone.revision) == (Phase.CANCELLED, at_ms, 2)
    assert gone.reason == "cancelled"
    assert (await world.desk.timeline(command.command_id))[-1] == TimelineEntry(
        at_ms, "cancelled", Phase.CANCELLED, {"by": "staff:ada", "why": "a mistake"}
    )
    flying = await sent(world)
    assert await world.desk.cancel(flying.command_id, at_ms, "staff:ada", "") == flying
    assert await world.desk.abandon(flying.command_id, at_ms, "staff:ada", "") == flying
    with pytest.raises(KeyError):
        await world.desk.cancel(uuid4(), at_ms, "staff:ada", "")


async def test_what_was_never_answered_can_be_given_up(world: World) -> None:
    silent = await moved(world, await sent(world), Happening.DEADLINE)
    given_up = await world.desk.abandon(
        silent.command_id, world.now_ms(), "staff:ada", "went there: it is shut"
    )
    assert given_up.phase is Phase.ABANDONED
    assert (await issued(world, slot=silent.slot)).phase is Phase.ISSUED


async def test_whoever_waits_is_woken_when_it_is_settled(postgres: PostgresWorld) -> None:
    command = await sent(postgres)
    waits = [asyncio.create_task(postgres.desk.settled(command.command_id, timeout_s=60)) for _ in range(20)]
    executed = await moved(postgres, command, Happening.ACK_EXECUTED)
    confirmed = await moved(postgres, executed, Happening.DONE)
    assert await asyncio.gather(*waits) == [confirmed] * 20
    assert await postgres.desk.settled(command.command_id, timeout_s=60) == confirmed


async def test_silence_is_an_answer_and_so_is_the_end_of_the_wait(postgres: PostgresWorld) -> None:
    command = await sent(postgres)
    assert await postgres.desk.settled(command.command_id, timeout_s=0.05) == command
    assert await postgres.desk.settled(uuid4(), timeout_s=60) is None
    waits = asyncio.create_task(postgres.desk.settled(command.command_id, timeout_s=60))
    silent = await moved(postgres, command, Happening.DEADLINE)
    assert await waits == silent


async def test_no_notice_is_missed_however_the_wait_and_the_end_meet(postgres: PostgresWorld) -> None:
    for _ in range(50):
        command = await issued(postgres, kind=CommandKind.LOCATE, slot=0)
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        wait = asyncio.create_task(postgres.desk.settled(command.command_id, timeout_s=60))
        gone, waited = await asyncio.gather(
            postgres.desk.cancel(command.command_id, postgres.now_ms(), "staff:ada", ""), wait
        )
        assert waited == gone
        assert loop.time() - began_s < 30


async def test_a_lost_listening_connection_costs_a_poll(postgres: PostgresWorld, database: str) -> None:
    command = await sent(postgres)
    wait = asyncio.create_task(postgres.desk.settled(command.command_id, timeout_s=60))
    ask(database, "select pg_terminate_backend(pid) from pg_stat_activity "
        "where application_name = 'latchkey-desk-notices'")  # fmt: skip
    assert await moved(postgres, command, Happening.DONE) == await wait


async def test_without_a_listener_the_poll_alone_answers(database: str) -> None:
    world = PostgresWorld(database)
    polling = asyncio.create_task(world.postgres_desk._waits.poll(world.postgres_desk._done))
    command = await sent(world)
    wait = asyncio.create_task(world.desk.settled(command.command_id, timeout_s=60))
    assert await moved(world, command, Happening.DONE) == await wait
    polling.cancel()
    await world.close()
