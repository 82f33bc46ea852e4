"""Models whose acks name no command: what they say can only mean one."""

from firmware_protocol.commands import AckResult, CommandKind
from firmware_protocol.messages import Bolt, DeviceId
from gateway.command_ports import CommandRecord
from gateway.core.command import Phase
from tests.support.fakes.command_gateway import CommandGateway

NAMELESS = bytes(16)


async def query_and_unlock(gateway: CommandGateway) -> tuple[CommandRecord, CommandRecord]:
    """Issued one after the other before the dispatcher looks; the first is out."""
    query = await gateway.issued(CommandKind.QUERY)
    unlock = await gateway.issued(CommandKind.UNLOCK, ttl_s=60)
    gateway.dispatch.noticed()
    await gateway.dispatch.turn()
    return query, unlock


async def test_of_two_that_are_issued_at_once_one_leaves() -> None:
    gateway = CommandGateway("mute")
    query, unlock = await query_and_unlock(gateway)
    assert (gateway.phase(query), gateway.phase(unlock)) == (Phase.SENT, Phase.ISSUED)


async def test_two_devices_of_such_a_model_do_not_wait_for_each_other() -> None:
    gateway = CommandGateway("mute")
    first = await gateway.issued()
    gateway.another_device(DeviceId("bike-b"))
    second = await gateway.issued()
    gateway.dispatch.noticed()
    await gateway.dispatch.turn()
    assert (gateway.phase(first), gateway.phase(second)) == (Phase.SENT, Phase.SENT)


async def test_a_refusal_means_the_order_that_a_report_has_settled_and_not_the_next_one() -> None:
    gateway = CommandGateway("mute")
    query, unlock = await query_and_unlock(gateway)
    await gateway.senses(0, 100, Bolt.CLOSED)
    assert gateway.phase(query) is Phase.CONFIRMED
    await gateway.wait(1_000)
    assert gateway.phase(unlock) is Phase.ISSUED, "the answer to the query is still on its way"
    await gateway.answer(query, AckResult.REFUSED, command_id=NAMELESS, reason="unsupported")
    assert gateway.phase(unlock) is Phase.ISSUED
    assert gateway.counters.bad_acks == []
    await gateway.wait(1_000)
    assert gateway.phase(unlock) is Phase.SENT


async def test_an_answer_that_never_comes_is_waited_for_until_it_would_be_too_late() -> None:
    gateway = CommandGateway("mute")
    query, unlock = await query_and_unlock(gateway)
    await gateway.senses(0, 100, Bolt.CLOSED)
    late_ms = query.not_after_ms + 2_000
    await gateway.wait(late_ms - 1 - gateway.clock.now_ms())
    assert gateway.phase(unlock) is Phase.ISSUED
    await gateway.wait(1_000)
    assert gateway.phase(unlock) is Phase.SENT


async def test_what_was_only_begun_is_not_answered_yet() -> None:
    gateway = CommandGateway("mute")
    query, unlock = await query_and_unlock(gateway)
    await gateway.answer(query, AckResult.ACCEPTED, command_id=NAMELESS)
    await gateway.senses(0, 100, Bolt.CLOSED)
    assert gateway.phase(query) is Phase.CONFIRMED
    await gateway.wait(1_000)
    assert gateway.phase(unlock) is Phase.ISSUED
    await gateway.answer(query, AckResult.EXECUTED, command_id=NAMELESS)
    await gateway.wait(1_000)
    assert gateway.phase(unlock) is Phase.SENT


async def test_after_a_restart_nobody_knows_what_was_answered_and_so_it_is_waited_for() -> None:
    gateway = CommandGateway("mute")
    query, unlock = await query_and_unlock(gateway)
    await gateway.senses(0, 100, Bolt.CLOSED)
    await gateway.answer(query, command_id=NAMELESS)
    gateway.restart()
    await gateway.wait(1_000)
    assert gateway.phase(unlock) is Phase.ISSUED
    await gateway.wait(12_000)
    assert gateway.phase(unlock) is Phase.SENT
