"""The clock of the machine is put back or ahead: orders go on, and nobody's is given up too early."""

from firmware_protocol.commands import CommandKind
from gateway.commands.in_flight import Probe, may_send, must_ask
from gateway.core.command import Phase
from tests.support.fakes.clock import FakeClock
from tests.support.fakes.command_gateway import NOW_MS, CommandGateway

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


async def test_a_clock_that_is_a_day_ahead_gives_up_nobodys_order() -> None:
    """Only this machine's clock; the database's says that it was ordered a few seconds ago."""
    gateway = CommandGateway(database_clock=FakeClock(NOW_MS))
    command = await gateway.sent()
    gateway.clock.advance(ms=25 * HOUR_MS)
    for _ in range(8):
        await gateway.wait(300)
    assert gateway.phase(command) is Phase.UNCONFIRMED


async def test_an_order_that_may_not_be_given_up_yet_keeps_no_other_waiting_and_the_store_not_busy() -> None:
    gateway = CommandGateway(database_clock=FakeClock(NOW_MS))
    await gateway.sent()
    gateway.clock.advance(ms=25 * HOUR_MS)
    await gateway.wait(300)
    await gateway.wait(300)
    gateway.interruptions.passed.clear()
    for _ in range(8):
        await gateway.wait(300)
    assert gateway.interruptions.passed.count("commands.move") == 0
    assert gateway.dispatch.next_due_ms() > gateway.clock.now_ms()


async def test_an_order_that_was_not_given_up_by_a_wrong_clock_is_given_up_after_a_day() -> None:
    database = FakeClock(NOW_MS)
    gateway = CommandGateway(database_clock=database)
    command = await gateway.sent()
    gateway.clock.advance(ms=25 * HOUR_MS)
    await gateway.wait(300)
    await gateway.wait(300)
    database.advance(ms=25 * HOUR_MS)
    await gateway.wait(61_000)
    assert gateway.phase(command) is Phase.ABANDONED
