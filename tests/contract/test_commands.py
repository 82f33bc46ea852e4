"""Commands as the owner of a lane takes them, moves them and takes them over."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import psycopg
import pytest

from firmware_protocol.commands import CommandKind
from gateway.command_ports import Incident, Move, TimelineEntry
from gateway.core.command import Happening, Phase
from gateway.stores.leases import PostgresLeases
from tests.support.command_world import (
    DEVICE_ID,
    LANE,
    OWNER,
    PostgresWorld,
    World,
    issued,
    moved,
    sent,
    step,
    surely,
)
from tests.support.stored import ask


@pytest.fixture
async def postgres(database: str) -> AsyncIterator[PostgresWorld]:
    made = PostgresWorld(database)
    yield made
    await made.close()


async def test_what_is_issued_waits_in_its_lane_oldest_first(world: World) -> None:
    now_ms = world.now_ms()
    first = await issued(world, slot=1, issued_ms=now_ms - 5)
    second = await issued(world, slot=2, issued_ms=now_ms - 2)
    assert await world.store.waiting([LANE]) == [first, second]
    assert await world.store.open_of([LANE]) == [first, second]
    assert await world.store.waiting([(LANE + 1) % 16]) == []
    assert await world.store.reread([first.command_id, uuid4()]) == {first.command_id: first}


async def test_a_claim_records_sent_with_the_lease_number(world: World) -> None:
    await world.hold()
    leases = await world.hold()
    command = await issued(world)
    at_ms = world.now_ms()
    (claimed,) = await world.store.claim([command], OWNER, leases, at_ms)
    assert (claimed.phase, claimed.sent_ms, claimed.lease_no) == (Phase.SENT, at_ms, leases[LANE])
    assert (claimed.revision, claimed.settled_ms) == (command.revision + 1, None)
    assert await world.store.waiting([LANE]) == []
    assert await world.store.open_of([LANE]) == [claimed]
    lines = await world.desk.timeline(command.command_id)
    assert [(line.what, line.phase) for line in lines][-1] == ("claimed", Phase.SENT)


async def test_while_a_claim_is_made_the_caller_works_once(world: World) -> None:
    leases = await world.hold()
    command = await issued(world)
    worked: list[str] = []
    for _ in range(2):
        await world.store.claim(
            [command], OWNER, leases, world.now_ms(), meanwhile=lambda: worked.append("worked")
        )
    assert worked == ["worked"] * 2, "whether anything was claimed is not known yet"


async def test_a_command_is_claimed_once(world: World) -> None:
    leases = await world.hold()
    command = await issued(world)
    claims = await asyncio.gather(
        *(world.store.claim([command], OWNER, leases, world.now_ms()) for _ in range(8))
    )
    assert sum(len(claimed) for claimed in claims) == 1


async def test_who_has_not_the_lane_claims_nothing(world: World) -> None:
    leases = await world.hold()
    command = await issued(world, not_after_ms=world.now_ms() // 1000 * 1000 + 60_000)
    now_ms = world.now_ms()
    assert await world.store.claim([command], "gateway-b", leases, now_ms) == []
    assert await world.store.claim([command], OWNER, {LANE: leases[LANE] - 1}, now_ms) == []
    assert await world.store.claim([command], OWNER, {(LANE + 1) % 16: leases[LANE]}, now_ms) == []
    assert await world.store.claim([command], OWNER, {}, now_ms) == []
    world.expire_leases()
    assert await world.store.claim([command], OWNER, leases, now_ms) == []
    again = await world.hold()
    assert await world.store.claim([command], OWNER, leases, now_ms) == []
    assert len(await world.store.claim([command], OWNER, again, now_ms)) == 1


async def test_after_its_time_nothing_is_claimed_whatever_the_caller_believes(world: World) -> None:
    leases = await world.hold()
    now_ms = world.now_ms()
    late = await issued(world, issued_ms=now_ms - 9_000, not_after_ms=now_ms // 1000 * 1000 - 1000)
    assert await world.store.claim([late], OWNER, leases, now_ms - 5_000) == []
    assert await world.store.waiting([LANE]) == [late]


async def test_a_move_is_compared_and_set(world: World) -> None:
    command = await sent(world)
    at_ms = world.now_ms()
    accepted = await world.store.move([step(command, Happening.ACK_ACCEPTED, at_ms)])
    now = accepted[command.command_id]
    assert (now.phase, now.revision, now.settled_ms) == (Phase.ACCEPTED, command.revision + 1, None)
    assert await world.store.move([step(command, Happening.DEADLINE, at_ms)]) == {}
    assert await world.store.reread([command.command_id]) == {command.command_id: now}
    lines = await world.desk.timeline(command.command_id)
    assert [line.what for line in lines] == ["requested", "issued", "claimed", "ack_accepted"]
    assert lines[-1] == TimelineEntry(
        at_ms, "ack_accepted", Phase.ACCEPTED, {"by": "test", "n": 1, "sure": True}
    )


async def test_a_batch_moves_each_or_leaves_it(world: World) -> None:
    leases = await world.hold()
    commands = [await issued(world, slot=slot) for slot in (1, 2, 3)]
    claimed = await world.store.claim(commands, OWNER, leases, world.now_ms())
    assert [command.slot for command in claimed] == [1, 2, 3]
    stale = step(commands[1], Happening.DEADLINE, world.now_ms())
    steps = [step(one, Happening.ACK_EXECUTED, world.now_ms()) for one in (claimed[2], claimed[0])]
    after = await world.store.move([*steps, stale])
    assert {one.slot: one.phase for one in after.values()} == {1: Phase.EXECUTED, 3: Phase.EXECUTED}
    assert await world.store.move([]) == {}


async def test_settling_sets_the_time_once_and_the_reason(world: World) -> None:
    command = await sent(world)
    now_ms = world.now_ms()
    (after,) = (
        await world.store.move([step(command, Happening.ACK_REFUSED, now_ms, reason="jammed")])
    ).values()
    assert (after.phase, after.settled_ms, after.reason) == (Phase.REFUSED, now_ms, "jammed")
    line = TimelineEntry(now_ms + 7, "evidence", Phase.REFUSED)
    (told,) = (
        await world.store.move([Move(after.command_id, after.revision, None, after.phase, [line])])
    ).values()
    assert (told.settled_ms, told.reason, told.revision) == (now_ms, "jammed", after.revision + 1)
    assert await world.store.open_of([LANE]) == []
    assert await world.store.settled_since([LANE], now_ms) == [told]
    assert await world.store.settled_since([LANE], now_ms + 1) == []
    assert await world.store.settled_since([(LANE + 1) % 16], now_ms) == []


async def test_what_was_never_sent_is_not_watched_after_it_is_settled(world: World) -> None:
    command = await issued(world)
    await moved(world, command, Happening.DEADLINE)
    assert await world.store.settled_since([LANE], 0) == []


async def test_an_unconfirmed_one_stays_open_until_it_is_settled(world: World) -> None:
    command = await moved(world, await sent(world), Happening.DEADLINE)
    assert (command.phase, command.settled_ms) == (Phase.UNCONFIRMED, None)
    assert await world.store.open_of([LANE]) == [command]
    assert (await moved(world, command, Happening.DONE)).phase is Phase.CONFIRMED


async def test_silence_is_given_up_after_a_day_by_the_clock_of_the_store(world: World) -> None:
    silent = await moved(world, await sent(world), Happening.DEADLINE)
    tomorrow_ms = world.now_ms() + 25 * 3_600_000
    assert await world.store.move([step(silent, Happening.ABANDON, tomorrow_ms)]) == {}
    assert await world.store.reread([silent.command_id]) == {silent.command_id: silent}
    yesterday_ms = world.now_ms() - 25 * 3_600_000
    older = await moved(world, await sent(world, slot=2, issued_ms=yesterday_ms), Happening.DEADLINE)
    assert (await moved(world, older, Happening.ABANDON)).phase is Phase.ABANDONED


async def test_what_a_person_gave_up_today_still_tells_what_came_of_it(world: World) -> None:
    silent = await moved(world, await sent(world), Happening.DEADLINE)
    given_up = await world.desk.abandon(silent.command_id, world.now_ms(), "staff:ada", "it is shut")
    late = TimelineEntry(world.now_ms(), "incident", Phase.ABANDONED, {"kind": "executed_after_all"})
    told = await world.store.move(
        [Move(given_up.command_id, given_up.revision, None, Phase.ABANDONED, [late])]
    )
    assert told[given_up.command_id].phase is Phase.ABANDONED
    assert (await world.desk.timeline(given_up.command_id))[-1] == late


async def test_an_incident_is_kept_once_with_its_move(postgres: PostgresWorld, database: str) -> None:
    command = await sent(postgres)
    now_ms = postgres.now_ms()
    incident = Incident(command.device_no, 1, "executed_late", now_ms, command.command_id, {"late_ms": 20})
    late = step(command, Happening.DONE_LATE, now_ms, incidents=[incident])
    (after,) = (await postgres.store.move([late])).values()
    assert await postgres.store.move([late]) == {}
    line = TimelineEntry(now_ms, "incident", after.phase)
    again = Move(after.command_id, after.revision, None, after.phase, [line], incidents=[incident])
    assert len(await postgres.store.move([again])) == 1
    rows = ask(database, "select device_no, operator_id, kind, command_id, detail from incident")
    assert rows == [(command.device_no, 1, "executed_late", command.command_id, {"late_ms": 20})]


async def test_the_story_of_a_command_is_append_only(postgres: PostgresWorld, database: str) -> None:
    command = await issued(postgres)
    for change in (
        "update command_event set what = 'nothing'",
        "delete from command_event",
        "truncate command_event",
        "delete from command",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            ask(database, change)
    assert len(await postgres.desk.timeline(command.command_id)) == 2


async def test_expiry_and_claim_never_both_win(postgres: PostgresWorld, database: str) -> None:
    """A2: the expiry of a command races its claim; one of the two happens, and the database's clock is obeyed."""
    leases = await postgres.hold()
    both = late = 0
    for round_no in range(500):
        now_ms = postgres.now_ms()
        command = await issued(postgres, kind=CommandKind.LOCATE, slot=0)
        expire = step(command, Happening.DEADLINE, now_ms)
        if round_no % 4 == 0:
            ask(database, "update command set not_after = clock_timestamp() - interval '1 ms' where command_id = %s",
                (command.command_id,))  # fmt: skip
        claimed, expired = await asyncio.gather(
            postgres.store.claim([command], OWNER, leases, now_ms), postgres.store.move([expire])
        )
        both += len(claimed) + len(expired) != 1
        late += bool(claimed) and round_no % 4 == 0
    assert (both, late) == (0, 0)
    story = ask(database, "select count(*) from command_event where what in ('claimed', 'deadline')")
    assert story == [(500,)]


async def test_a_lane_that_changes_hands_is_claimed_by_one_owner(database: str) -> None:
    one, other = PostgresWorld(database), PostgresLeases(database)
    command = await issued(one)
    old = await one.hold()
    one.expire_leases()
    new = await other.take("gateway-b", range(16))
    claims = await asyncio.gather(
        one.store.claim([command], OWNER, old, one.now_ms()),
        one.store.claim([command], "gateway-b", new, one.now_ms()),
    )
    assert [[claimed.lease_no for claimed in each] for each in claims] == [[], [new[LANE]]]
    await other.close()
    await one.close()


async def test_a_backend_that_dies_between_two_statements_leaves_each_step_whole(
    postgres: PostgresWorld, database: str
) -> None:
    """A11: whatever was answered stands, whatever was not is found by reading again."""
    leases = await postgres.hold()
    kill = (
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'latchkey-commands'"
    )
    command = await issued(postgres)
    ask(database, kill)
    claimed = await surely(lambda: postgres.store.claim([command], OWNER, leases, postgres.now_ms()))
    ask(database, kill)
    assert await surely(lambda: postgres.store.claim([command], OWNER, leases, postgres.now_ms())) == []
    now = (await surely(lambda: postgres.store.reread([command.command_id])))[command.command_id]
    assert claimed in ([now], [])
    assert now.phase is Phase.SENT
    ask(database, kill)
    confirm = step(now, Happening.DONE, postgres.now_ms())
    await surely(lambda: postgres.store.move([confirm]))
    assert (await surely(lambda: postgres.store.move([confirm]))) == {}
    found = await postgres.desk.find(command.command_id)
    assert found is not None
    assert (found.phase, found.device_id) == (Phase.CONFIRMED, DEVICE_ID)
    lines = [line.what for line in await postgres.desk.timeline(command.command_id)]
    assert lines == ["requested", "issued", "claimed", "done"]
