"""From a wish to a command, or to the reasons why not."""

import asyncio

import pytest
from msgspec import structs

from firmware_protocol.commands import CommandKind
from firmware_protocol.messages import Bolt, DeviceId, Lock, Report
from gateway.command_ports import Issued, KeyReused, SlotBusy
from gateway.commands.issue import RefusedWish, digest_of, issue
from gateway.core.command import Phase
from gateway.core.issue_conditions import Refusal
from gateway.ports import StoreUnavailable
from tests.support.fakes.command_gateway import NOW_MS, CommandGateway


async def test_a_command_holds_what_the_device_was_when_it_was_issued() -> None:
    gateway = CommandGateway()
    command = await gateway.issued(ttl_s=10)
    assert (command.phase, command.fence, command.revision) == (Phase.ISSUED, 1, 1)
    assert (command.boot, command.firmware, command.openings_before) == (gateway.device.boot, "1.0", 100)
    assert command.not_after_ms == (NOW_MS // 1000 + 10) * 1000
    assert gateway.story(command) == ["requested", "issued"]


@pytest.mark.parametrize("ms", [1, 999])
async def test_a_command_never_lives_longer_than_was_asked_for(ms: int) -> None:
    """Devices are told whole seconds, which are rounded down: refused too early rather than too late."""
    gateway = CommandGateway()
    gateway.clock.advance(ms=ms)
    command = await gateway.issued(ttl_s=10)
    assert NOW_MS % 1000 == 0
    assert command.not_after_ms == NOW_MS + 10_000


async def test_the_same_key_a_thousand_times_at_once_is_one_command() -> None:
    gateway = CommandGateway()
    wish, ports = gateway.wish(), gateway.issue_ports()
    outcomes = await asyncio.gather(*(issue(wish, ports) for _ in range(1_000)))
    commands = [one.command.command_id for one in outcomes if isinstance(one, Issued)]
    assert len(commands) == 1_000
    assert len(set(commands)) == len(gateway.commands.rows) == 1
    assert gateway.counters.wishes.count("issued") == 1


async def test_a_key_that_stands_for_a_command_is_answered_before_any_condition() -> None:
    gateway = CommandGateway()
    wish = gateway.wish()
    first = await issue(wish, gateway.issue_ports())
    gateway.report(Report(lock=Lock(Bolt.OPEN, 1, 101)))
    again = await issue(wish, gateway.issue_ports())
    assert isinstance(first, Issued)
    assert isinstance(again, Issued)
    assert again.repeated
    assert again.command.command_id == first.command.command_id


async def test_a_key_with_another_body_is_refused() -> None:
    gateway = CommandGateway()
    await gateway.issued(idempotency_key="k")
    outcome = await issue(gateway.wish(idempotency_key="k", ttl_s=20), gateway.issue_ports())
    assert isinstance(outcome, KeyReused)


async def test_people_of_one_name_at_two_operators_share_no_keys() -> None:
    gateway = CommandGateway()
    await gateway.issued(idempotency_key="k")
    theirs = structs.replace(gateway.device, device_no=2, device_id=DeviceId("bike-b"), operator_id=2)
    gateway.registry.put(theirs)
    gateway.keys.give(2, 1)
    wish = structs.replace(gateway.wish(idempotency_key="k"), device=theirs)
    outcome = await issue(wish, gateway.issue_ports())
    assert isinstance(outcome, Issued)
    assert (outcome.command.device_id, outcome.repeated) == ("bike-b", False)


async def test_a_slot_with_something_in_flight_is_busy() -> None:
    gateway = CommandGateway()
    command = await gateway.issued()
    outcome = await issue(gateway.wish(), gateway.issue_ports())
    assert outcome == SlotBusy(command.command_id, Phase.ISSUED)
    assert isinstance(await issue(gateway.wish(CommandKind.LOCATE), gateway.issue_ports()), Issued)


async def test_a_refusal_writes_nothing_and_frees_the_key() -> None:
    gateway = CommandGateway()
    gateway.report(Report(lock=Lock(Bolt.OPEN, 1, 101)))
    outcome = await issue(gateway.wish(idempotency_key="k"), gateway.issue_ports())
    assert isinstance(outcome, RefusedWish)
    assert [one.reason for one in outcome.reasons] == [Refusal.ALREADY_OPEN]
    gateway.report(Report(lock=Lock(Bolt.CLOSED, 1, 101)))
    assert (await gateway.issued(idempotency_key="k")).fence == 1


async def test_without_redis_what_was_saved_decides_and_no_count_is_kept() -> None:
    gateway = CommandGateway()
    gateway.redis_error = lambda: StoreUnavailable("redis")
    gateway.clock.advance(ms=30 * 60_000)
    assert (await gateway.issued()).openings_before is None


async def test_an_emptied_redis_does_not_say_that_nobody_was_ever_heard() -> None:
    gateway = CommandGateway()
    gateway.live = None
    assert (await gateway.issued()).openings_before is None
    gateway.saved_state = None
    outcome = await issue(gateway.wish(CommandKind.LOCATE), gateway.issue_ports())
    assert isinstance(outcome, RefusedWish)


@pytest.mark.parametrize("revision", [0, 5])
async def test_a_redis_that_cannot_be_written_decides_no_more_than_what_was_saved(revision: int) -> None:
    gateway = CommandGateway()
    assert gateway.saved_state is not None
    gateway.saved_state = structs.replace(gateway.saved_state, revision=revision)
    gateway.clock.advance(ms=30 * 60_000)
    assert isinstance(await issue(gateway.wish(), gateway.issue_ports()), RefusedWish)
    gateway.is_behind = True
    assert (await gateway.issued()).openings_before is None


@pytest.mark.parametrize(("saved_revision", "is_refused"), [(0, True), (2, False)])
async def test_of_two_states_that_may_be_behind_the_newest_decides(
    saved_revision: int, is_refused: bool
) -> None:
    """Redis says that somebody rides, what was saved that the bike stands open."""
    gateway = CommandGateway()
    gateway.report(Report(lock=Lock(Bolt.OPEN, 0, 100), moving=False))
    assert gateway.live is not None
    gateway.saved_state = structs.replace(gateway.live, revision=saved_revision)
    gateway.report(Report(lock=Lock(Bolt.OPEN, 0, 100), moving=True))
    gateway.is_behind = True
    outcome = await issue(gateway.wish(CommandKind.LOCK), gateway.issue_ports())
    assert isinstance(outcome, RefusedWish) is is_refused


async def test_a_count_older_than_what_was_given_up_is_no_baseline() -> None:
    """It may have opened meanwhile, for all that anybody knows."""
    gateway = CommandGateway()
    silent = await gateway.sent()
    await gateway.wait(13_000)
    await gateway.commands.abandon(silent.command_id, gateway.clock.now_ms(), "staff:kim", "it is shut")
    assert (await gateway.issued()).openings_before is None


@pytest.mark.parametrize("ttl_s", [1, 61])
async def test_a_command_lives_for_two_to_sixty_seconds(ttl_s: int) -> None:
    gateway = CommandGateway()
    with pytest.raises(ValueError, match="ttl_s"):
        await issue(gateway.wish(ttl_s=ttl_s), gateway.issue_ports())


def test_everything_that_is_asked_for_counts_in_the_digest() -> None:
    gateway = CommandGateway()
    plain = gateway.wish()
    others = [
        gateway.wish(CommandKind.LOCK),
        gateway.wish(slot=1),
        gateway.wish(ttl_s=11),
        gateway.wish(claim_id="c"),
        gateway.wish(why="w"),
        gateway.wish(override=frozenset({Refusal.FAULT})),
        gateway.wish(settings={"a": 1}),
    ]
    assert len({digest_of(one) for one in (plain, *others)}) == 8
    assert digest_of(plain) == digest_of(gateway.wish())
