"""Models that obey expired orders: what they answered is looked at again where the frame leaves."""

from collections.abc import Callable

import pytest

from firmware_protocol.commands import CommandKind
from gateway.command_ports import CommandRecord
from gateway.core.command import Phase
from gateway.ports import StoreUnavailable
from tests.support.fakes.command_gateway import CommandGateway


async def answered(gateway: CommandGateway) -> CommandRecord:
    """Issued, and its device has just said that it listens."""
    command = await gateway.issued(ttl_s=60)
    gateway.dispatch.noticed()
    await gateway.dispatch.turn()
    (asked,) = gateway.heard()
    await gateway.answer(command, command_id=asked.command_id)
    return command


async def assert_never_sent(gateway: CommandGateway, command: CommandRecord) -> None:
    """It was recorded as sent: nothing leaves any more, and it ends as what may have been done."""
    for _ in range(63):
        await gateway.wait(1_000)
    assert {one.kind for one in gateway.heard()} == {CommandKind.QUERY}
    assert gateway.phase(command) is Phase.UNCONFIRMED


async def test_after_a_slow_claim_the_answer_to_the_probe_counts_no_more() -> None:
    gateway = CommandGateway("odd")
    command = await answered(gateway)
    gateway.interruptions.raise_always("commands.claim:done", lambda: _do(gateway.clock.advance, ms=9_000))
    await gateway.dispatch.turn()
    gateway.interruptions.heal()
    await assert_never_sent(gateway, command)


async def test_after_a_claim_whose_answer_was_lost_the_answer_to_the_probe_counts_no_more() -> None:
    gateway = CommandGateway("odd")
    command = await answered(gateway)
    gateway.interruptions.raise_always("commands.claim:done", lambda: StoreUnavailable("lost"))
    with pytest.raises(StoreUnavailable):
        await gateway.dispatch.turn()
    gateway.clock.advance(ms=40_000)
    gateway.interruptions.heal()
    await assert_never_sent(gateway, command)


async def test_while_the_link_is_down_the_answer_to_the_probe_grows_old() -> None:
    gateway = CommandGateway("odd")
    command = await answered(gateway)
    gateway.link.up = False
    await gateway.dispatch.turn()
    assert gateway.phase(command) is Phase.SENT
    gateway.clock.advance(ms=6_000)
    gateway.link.up = True
    await assert_never_sent(gateway, command)


async def test_what_leaves_while_the_answer_is_fresh_leaves_after_all() -> None:
    gateway = CommandGateway("odd")
    await answered(gateway)
    gateway.link.up = False
    await gateway.dispatch.turn()
    gateway.link.up = True
    await gateway.wait(1_000)
    assert [one.kind for one in gateway.heard()] == [CommandKind.QUERY, CommandKind.UNLOCK]


def _do(act: Callable[..., None], **arguments: int) -> None:
    act(**arguments)
