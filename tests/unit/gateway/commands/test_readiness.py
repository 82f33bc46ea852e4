"""Which issued commands may leave now, and which devices are asked first."""

import pytest
from msgspec import structs

from firmware_protocol.commands import CommandKind
from gateway.command_ports import CommandRecord
from gateway.commands.readiness import Ready, ReadyPorts, ready_of
from gateway.core.device import Status
from tests.support.fakes.command_gateway import CommandGateway


def judged(gateway: CommandGateway, *commands: CommandRecord) -> Ready:
    """As the dispatcher asks for them."""
    for command in commands:
        gateway.open.learn(command)
    keys = {gateway.device.device_no: gateway.keys.give(gateway.device.device_no, 1)}
    ports = ReadyPorts(gateway.registry, gateway.link, gateway.clock, gateway.open)
    return ready_of(commands, keys, ports)


async def test_what_is_issued_in_time_for_an_active_device_is_ready() -> None:
    gateway = CommandGateway()
    command = await gateway.issued()
    assert judged(gateway, command) == Ready([command], is_asking=False)
    gateway.clock.advance(ms=command.not_after_ms - gateway.clock.now_ms())
    assert judged(gateway, command).records == []


@pytest.mark.parametrize("status", [Status.SUSPENDED, Status.RETIRED])
async def test_a_device_that_is_not_active_gets_nothing(status: Status) -> None:
    gateway = CommandGateway()
    command = await gateway.issued()
    gateway.registry.put(structs.replace(gateway.device, status=status))
    assert judged(gateway, command).records == []


async def test_a_device_that_ignores_expiry_is_asked_once_a_second_until_it_answers() -> None:
    gateway = CommandGateway("odd")
    command = await gateway.issued()
    for _ in range(5):
        assert judged(gateway, command) == Ready([], is_asking=True)
        gateway.clock.advance(ms=250)
    assert [one.kind for one in gateway.heard()] == [CommandKind.QUERY] * 2
