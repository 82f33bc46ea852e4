"""Claims of which the store's answer was lost."""

import pytest

from firmware_protocol.commands import CommandKind
from gateway.command_ports import CommandRecord
from gateway.core.command import Phase
from gateway.ports import StoreUnavailable
from tests.support.fakes.command_gateway import CommandGateway


async def claimed_without_an_answer(gateway: CommandGateway) -> CommandRecord:
    command = await gateway.issued()
    gateway.interruptions.raise_always("commands.claim:done", lambda: StoreUnavailable("lost"))
    with pytest.raises(StoreUnavailable):
        await gateway.dispatch.turn()
    gateway.interruptions.heal()
    return command


async def test_a_doubtful_claim_is_published_when_its_lane_can_be_reached_again() -> None:
    """PostgreSQL and the broker were out of reach at once: the lane is ours all the while, its session is down."""
    gateway = CommandGateway()
    command = await claimed_without_an_answer(gateway)
    held, gateway.link.leases = gateway.link.leases, {}
    await gateway.wait(500)
    assert (gateway.phase(command), gateway.link.published) == (Phase.SENT, [])
    gateway.link.leases = held
    await gateway.wait(1_500)
    assert len(gateway.link.published) == 1


@pytest.mark.parametrize("point", ["commands.reread", "keys.load"])
async def test_a_doubtful_claim_whose_lane_is_lost_while_it_is_looked_up_is_left_to_the_next_owner(
    point: str,
) -> None:
    gateway = CommandGateway()
    command = await claimed_without_an_answer(gateway)

    def lose() -> None:
        gateway.dispatch.lanes_lost(range(16))
        gateway.link.leases = {}

    gateway.interruptions.raise_always(point, lose)
    await gateway.wait(500)
    assert gateway.phase(command) is Phase.SENT
    assert (len(gateway.open), gateway.link.published) == (0, [])


async def test_a_doubtful_claim_of_a_lane_that_is_anothers_by_now_is_left_to_them() -> None:
    gateway = CommandGateway()
    command = await claimed_without_an_answer(gateway)
    gateway.dispatch.lanes_lost(range(16))
    gateway.link.leases.clear()
    await gateway.wait(20_000)
    await gateway.wait(1_000)
    assert gateway.phase(command) is Phase.SENT
    assert (len(gateway.open), gateway.link.published) == (0, [])


LOST_AT = ["waiting", "claim", "claim:done", "open_of", "settled_since"]


@pytest.mark.parametrize("point", [f"commands.{name}" for name in LOST_AT] + ["keys.load"])
async def test_of_a_lane_that_is_lost_while_the_store_works_nothing_is_known_or_ended_by_us(
    point: str,
) -> None:
    """The next owner waits for it, by a clock of its own."""
    gateway = CommandGateway()
    await gateway.sent(CommandKind.LOCATE)
    command = await gateway.issued()
    gateway.restart()

    def lose() -> None:
        gateway.dispatch.lanes_lost(range(16))
        gateway.link.leases = {}

    gateway.interruptions.raise_always(point, lose)
    await gateway.wait(500)
    gateway.interruptions.heal()
    before = gateway.phase(command)
    assert before in (Phase.ISSUED, Phase.SENT)
    await gateway.wait(20_000)
    await gateway.wait(1_000)
    assert gateway.phase(command) is before
    assert (len(gateway.open), gateway.open.issued()) == (0, [])
