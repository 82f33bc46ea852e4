"""Facts become one move."""

from gateway.commands.story import Story
from gateway.core.command import Happening, Phase
from tests.support.fakes.command_gateway import CommandGateway


async def test_facts_in_their_order_are_one_move() -> None:
    command = await CommandGateway().sent()
    story = Story(command)
    assert story.happens(Happening.ACK_ACCEPTED, 1, "device_ack")
    assert not story.happens(Happening.CANCEL, 2, "cancelled")
    assert story.happens(Happening.DONE, 3, "evidence", {"why": "is_open"}, reason="so")
    move = story.move()
    assert move is not None
    assert (move.to, move.from_revision, move.reason) == (Phase.CONFIRMED, command.revision, "so")
    assert [(line.at_ms, line.what, line.phase) for line in move.entries] == [
        (1, "device_ack", Phase.ACCEPTED),
        (3, "evidence", Phase.CONFIRMED),
        (3, "settled", Phase.CONFIRMED),
    ]


async def test_nothing_told_is_no_move() -> None:
    assert Story(await CommandGateway().sent()).move() is None


async def test_an_incident_is_told_once_per_kind() -> None:
    command = await CommandGateway().sent()
    story = Story(command, known=frozenset({"executed_late"}))
    for kind in ("executed_late", "executed_twice", "executed_twice"):
        story.incident(kind, 1)
    move = story.move()
    assert move is not None
    assert [one.kind for one in move.incidents] == ["executed_twice"]
    assert move.to is command.phase
