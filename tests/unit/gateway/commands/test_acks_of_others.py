"""Acks that name what is not this gateway's to judge."""

import pytest

from firmware_protocol.commands import CommandKind
from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import shard_of
from gateway.core.command import Phase
from tests.support.fakes.command_gateway import CommandGateway


def a_device_of_another_lane(gateway: CommandGateway) -> DeviceId:
    mine = shard_of(gateway.device.device_id)
    return next(name for n in range(99) if shard_of(name := DeviceId(f"bike-z{n}")) != mine)


@pytest.mark.parametrize("is_foreign", [True, False])
async def test_a_device_that_names_another_ones_order_teaches_nothing(is_foreign: bool) -> None:
    """Whether that one's lane is another gateway's or ours."""
    gateway = CommandGateway()
    await gateway.dispatch.turn()
    mine, other = gateway.device, a_device_of_another_lane(gateway)
    gateway.another_device(other)
    theirs = await gateway.issued(CommandKind.LOCATE)
    if is_foreign:
        gateway.dispatch.lanes_lost([shard_of(other)])
    gateway.device = mine
    await gateway.answer(theirs)
    assert gateway.open.get(theirs.command_id) is None
    assert gateway.counters.bad_acks == ["unknown_command"]


async def test_an_ack_of_a_lane_that_was_lost_is_left_to_whoever_has_it_now() -> None:
    """The broker gives it again: it is neither judged, nor kept as a bad one, nor acknowledged."""
    gateway = CommandGateway()
    command = await gateway.sent(CommandKind.LOCATE)
    gateway.dispatch.lanes_lost([shard_of(gateway.device.device_id)])
    await gateway.answer(command)
    assert gateway.phase(command) is Phase.SENT
    assert len(gateway.open) == 0
    assert gateway.counters.bad_acks == []
    assert gateway.pubacks.acknowledged == []


@pytest.mark.parametrize("point", ["keys.load", "commands.reread"])
async def test_a_lane_that_is_lost_while_its_ack_is_judged_leaves_it_as_well(point: str) -> None:
    gateway = CommandGateway()
    command = await gateway.sent(CommandKind.LOCATE)
    gateway.open.forget(command.command_id)
    lane = shard_of(gateway.device.device_id)
    gateway.interruptions.raise_always(point, lambda: gateway.dispatch.lanes_lost([lane]))
    await gateway.answer(command)
    assert (gateway.phase(command), len(gateway.open)) == (Phase.SENT, 0)
    assert (gateway.counters.bad_acks, gateway.pubacks.acknowledged) == ([], [])


async def test_what_was_forgotten_of_our_lanes_is_asked_for_and_remembered() -> None:
    gateway = CommandGateway()
    command = await gateway.sent(CommandKind.LOCATE)
    gateway.open.forget(command.command_id)
    await gateway.answer(command)
    assert gateway.phase(command) is Phase.CONFIRMED
    assert gateway.open.get(command.command_id) is not None
