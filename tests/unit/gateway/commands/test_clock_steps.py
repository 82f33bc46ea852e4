"""The clock of the machine is put back or ahead: orders go on, and nobody's is given up too early."""

from firmware_protocol.commands import CommandKind
from gateway.commands.in_flight import Probe, may_send, must_ask
from gateway.core.command import Phase
from tests.support.fakes.command_gateway import CommandGateway

HOUR_MS = 3_600_000


async def test_after_a_step_back_copies_leave_and_deadlines_are_kept() -> None:
    gateway = CommandGateway()
    await gateway.sent(CommandKind.LOCATE)
    gateway.clock.set_back(ms=HOUR_MS)
    command = await gateway.sent(ttl_s=10)
    before = len(gateway.link.published)
    for _ in range(130):
        await gateway.wait(100)
    assert len(gateway.link.published) > before
    assert gateway.phase(command) is Phase.UNCONFIRMED


async def test_after_a_step_back_a_missed_notice_is_healed_as_ever() -> None:
    gateway = CommandGateway()
    await gateway.dispatch.turn()
    gateway.clock.set_back(ms=HOUR_MS)
    command = await gateway.issued(ttl_s=10)
    await gateway.wait(100)
    assert gateway.phase(command) is Phase.SENT


async def test_what_is_out_when_the_clock_steps_back_is_repeated_at_the_same_pace() -> None:
    gateway = CommandGateway()
    await gateway.sent(ttl_s=60)
    gateway.clock.set_back(ms=10_000)
    for _ in range(20):
        await gateway.wait(100)
    assert len(gateway.link.published) == 2
    for _ in range(10):
        await gateway.wait(100)
    assert len(gateway.link.published) == 3


async def test_a_step_back_makes_no_answer_to_a_probe_younger() -> None:
    gateway = CommandGateway("odd")
    command = await gateway.sent(ttl_s=60)
    await gateway.answer(command, command_id=gateway.heard()[0].command_id)
    gateway.link.up = False
    await gateway.wait(4_000)
    gateway.clock.set_back(ms=3_000)
    gateway.link.up = True
    for _ in range(3):
        await gateway.wait(1_500)
    assert CommandKind.UNLOCK not in {one.kind for one in gateway.heard()}


def test_an_answer_that_is_from_after_now_is_not_fresh() -> None:
    asked = Probe(1, asked_ms=10_000, answered=True)
    assert may_send(asked, 10_000)
    assert not may_send(asked, 9_999)
    assert must_ask(asked, 9_999)
    assert must_ask(Probe(1, asked_ms=10_000), 9_999)
