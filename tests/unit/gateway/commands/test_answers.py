"""What a device says goes with the next move of its command, and is told once."""

from firmware_protocol.commands import AckResult, CommandKind
from gateway.commands.answers import judge_answers, word_of
from gateway.commands.story import Story
from gateway.core.command import Phase
from tests.support.fakes.command_gateway import CommandGateway


async def test_answers_are_judged_in_their_order_and_repetitions_say_nothing() -> None:
    gateway = CommandGateway()
    command = await gateway.sent(CommandKind.LOCATE)
    one = gateway.open.get(command.command_id)
    assert one is not None
    accepted, executed = gateway.verified(command, AckResult.ACCEPTED), gateway.verified(command)
    one.answers = (accepted, accepted, executed, executed)
    story = Story(one.record)
    judge_answers(story, one)
    move = story.move()
    assert move is not None
    assert [entry.what for entry in move.entries] == ["device_ack", "device_ack", "settled"]
    assert move.to is Phase.CONFIRMED
    assert word_of(executed) == (AckResult.EXECUTED, "")


async def test_what_was_told_before_is_not_told_again() -> None:
    gateway = CommandGateway()
    command = await gateway.sent()
    one = gateway.open.get(command.command_id)
    assert one is not None
    executed = gateway.verified(command)
    one.answered, one.answers = word_of(executed), (executed,)
    await gateway.answer(command)
    story = Story(one.record)
    one.answers = (executed,)
    judge_answers(story, one)
    assert story.move() is None
