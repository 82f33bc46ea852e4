"""The commands of one device, page by page, to whom they belong."""

from uuid import uuid4

from gateway.core.command import Happening
from tests.support.command_world import World, issued, moved


async def test_commands_of_a_device_page_by_page_newest_first(world: World) -> None:
    commands = [await issued(world, slot=slot) for slot in range(1, 6)]
    await issued(world, device=world.device("cabinet-b"))
    newest_first = commands[::-1]
    device_no = commands[0].device_no
    page = await world.desk.of_device(device_no, 1, before=None, limit=2)
    assert page == newest_first[:2]
    assert await world.desk.of_device(device_no, 1, before=page[-1].command_id, limit=9) == newest_first[2:]
    assert await world.desk.of_device(device_no, 1, before=commands[0].command_id, limit=9) == []


async def test_after_a_command_that_the_device_never_had_comes_an_empty_page(world: World) -> None:
    """With the newest page instead, whoever reads page by page while old commands are deleted would begin anew."""
    command, other = await issued(world), await issued(world, device=world.device("cabinet-b"), slot=2)
    for before in (uuid4(), other.command_id):
        assert await world.desk.of_device(command.device_no, 1, before=before, limit=9) == []


async def test_who_gets_a_device_does_not_get_the_orders_of_the_operator_before(world: World) -> None:
    """They tell who rode when, and under which rental."""
    first = await moved(world, await issued(world), Happening.CANCEL)
    world.hand_over()
    own = await issued(world)
    assert await world.desk.of_device(first.device_no, 2, before=None, limit=9) == [own]
    assert await world.desk.of_device(first.device_no, 2, before=first.command_id, limit=9) == []
    assert await world.desk.of_device(first.device_no, 1, before=None, limit=9) == [first]
