"""A live state that does not show yet what a command has done, which evidence has settled already."""

from firmware_protocol.commands import CommandKind
from firmware_protocol.messages import Bolt, Lock, Report
from gateway.command_ports import DeviceChanged, Issued
from gateway.commands.issue import RefusedWish, issue
from gateway.core.command import Phase
from gateway.core.issue_conditions import Refusal
from tests.support.fakes.command_gateway import CommandGateway


async def test_one_bike_is_not_confirmed_to_two_riders() -> None:
    """The report that settles the first one has not reached Redis: there the bolt is closed, and the slot is free."""
    gateway = CommandGateway()
    first = await gateway.sent()
    await gateway.senses(first.fence, 101)
    assert gateway.phase(first) is Phase.CONFIRMED
    assert await issue(gateway.wish(), gateway.issue_ports()) == DeviceChanged()
    assert len(gateway.commands.rows) == 1
    gateway.report(Report(lock=Lock(Bolt.OPEN, first.fence, 101), battery_pct=80))
    second = await issue(gateway.wish(), gateway.issue_ports())
    assert isinstance(second, RefusedWish)
    assert [one.reason for one in second.reasons] == [Refusal.ALREADY_OPEN]


async def test_whoever_comes_after_the_ride_gets_the_bike() -> None:
    gateway = CommandGateway()
    first = await gateway.sent()
    await gateway.senses(first.fence, 101)
    gateway.report(Report(lock=Lock(Bolt.CLOSED, first.fence, 101), battery_pct=80))
    assert (await gateway.issued()).openings_before == 101


async def test_a_bike_whose_state_is_behind_can_still_be_looked_for() -> None:
    gateway = CommandGateway()
    first = await gateway.sent()
    await gateway.senses(first.fence, 101)
    assert isinstance(await issue(gateway.wish(CommandKind.LOCATE), gateway.issue_ports()), Issued)
