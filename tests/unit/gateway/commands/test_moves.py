"""Facts are told until each is told."""

from functools import partial

import pytest
from msgspec import structs

from firmware_protocol.commands import AckResult, CommandKind
from gateway.commands.moves import nothing_more, tell
from gateway.commands.open_commands import OpenCommand
from gateway.commands.story import Story
from gateway.core.command import Happening, Phase
from gateway.ports import StoreUnavailable
from tests.support.fakes.command_gateway import CommandGateway


def happens(happening: Happening, story: Story, one: OpenCommand) -> None:
    story.happens(happening, 1, happening.value)


async def test_what_another_moved_meanwhile_is_judged_again() -> None:
    gateway = CommandGateway()
    command = await gateway.sent()
    row = gateway.row(command)
    gateway.commands.rows[command.command_id] = structs.replace(row, revision=9, phase=Phase.ACCEPTED)
    await tell({command.command_id: partial(happens, Happening.ACK_EXECUTED)}, gateway.moving)
    assert (gateway.phase(command), gateway.row(command).revision) == (Phase.EXECUTED, 10)


async def test_what_proves_nothing_any_more_is_not_told() -> None:
    gateway = CommandGateway()
    command = await gateway.sent()
    row = gateway.row(command)
    gateway.commands.rows[command.command_id] = structs.replace(row, revision=9, phase=Phase.ABANDONED)
    await tell({command.command_id: partial(happens, Happening.DONE)}, gateway.moving)
    assert gateway.phase(command) is Phase.ABANDONED
    assert Happening.DONE.value not in gateway.story(command)


async def test_a_command_that_never_stands_still_is_given_up_for_now() -> None:
    gateway = CommandGateway()
    command = await gateway.sent()

    def moves_on() -> None:
        row = gateway.row(command)
        gateway.commands.rows[command.command_id] = structs.replace(row, revision=row.revision + 1)

    gateway.interruptions.raise_always("commands.move", moves_on)
    with pytest.raises(StoreUnavailable):
        await tell({command.command_id: partial(happens, Happening.DONE)}, gateway.moving)


async def test_lines_that_wait_go_with_the_next_move_once() -> None:
    gateway = CommandGateway()
    command = await gateway.sent()
    assert "published" not in gateway.story(command)
    await tell({command.command_id: nothing_more}, gateway.moving)
    await tell({command.command_id: partial(happens, Happening.DONE)}, gateway.moving)
    assert gateway.story(command).count("published") == 1


async def test_a_line_that_comes_while_the_store_works_is_written_with_the_next_move() -> None:
    gateway = CommandGateway()
    command = await gateway.sent(CommandKind.LOCATE)

    def broker_answers() -> None:
        gateway.interruptions.heal()
        gateway.dispatch.broker_acked(command.command_id)

    gateway.interruptions.raise_always("commands.move", broker_answers)
    await tell({command.command_id: nothing_more}, gateway.moving)
    assert "broker_ack" not in gateway.story(command)
    await tell({command.command_id: nothing_more}, gateway.moving)
    assert gateway.story(command)[-2:] == ["published", "broker_ack"]


async def test_an_answer_that_comes_while_the_store_works_is_told_with_the_next_move() -> None:
    gateway = CommandGateway()
    command = await gateway.sent()
    one = gateway.open.get(command.command_id)
    assert one is not None
    one.answers = (gateway.verified(command, AckResult.ACCEPTED),)

    def another_answer() -> None:
        gateway.interruptions.heal()
        one.answers = (*one.answers, gateway.verified(command, AckResult.EXECUTED))

    gateway.interruptions.raise_always("commands.move", another_answer)
    await tell({command.command_id: nothing_more}, gateway.moving)
    assert gateway.phase(command) is Phase.ACCEPTED
    await tell({command.command_id: nothing_more}, gateway.moving)
    assert gateway.phase(command) is Phase.EXECUTED
    assert len(one.answers) == 0


async def test_a_command_of_a_lost_lane_is_nobodys_to_tell() -> None:
    gateway = CommandGateway()
    command = await gateway.sent()
    gateway.open.forget(command.command_id)
    await tell({command.command_id: partial(happens, Happening.DONE)}, gateway.moving)
    assert gateway.phase(command) is Phase.SENT
