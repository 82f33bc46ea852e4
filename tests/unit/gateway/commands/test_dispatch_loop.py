"""The loop that wakes the dispatcher."""

import asyncio

from gateway.commands.dispatch_loop import DispatchLoop
from gateway.core.command import Phase
from gateway.ports import StoreUnavailable
from tests.support.fakes.command_gateway import CommandGateway
from tests.support.waiting import until_async


async def test_a_notice_is_answered_at_once_and_a_store_that_was_away_asked_again() -> None:
    gateway = CommandGateway()
    gateway.interruptions.raise_always("commands.open_of", lambda: StoreUnavailable("away"))
    loop = DispatchLoop(gateway.dispatch, gateway.clock)
    running = asyncio.create_task(loop.run())
    await until_async(lambda: loop.failure == "away")
    gateway.interruptions.heal()
    command = await gateway.issued()
    loop.wake()
    await until_async(lambda: gateway.phase(command) is Phase.SENT)
    await until_async(lambda: not loop.failure)
    loop.end()
    await asyncio.wait_for(loop.ended.wait(), 30)
    await running
