"""Acks: verified, judged, committed, acknowledged."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

import pytest
from msgspec import structs

from firmware_protocol.commands import AckResult, CommandKind
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.messages import Bolt, Report, Slot
from gateway.command_ports import CommandRecord, Move
from gateway.commands.take_acks import take_acks
from gateway.core.command import Phase
from gateway.ports import StoreUnavailable
from tests.support.fakes.command_gateway import NOW_MS, CommandGateway
from tests.support.fakes.samples import BOOT_MS


async def test_an_ack_is_not_an_opening() -> None:
    gateway = CommandGateway()
    command = await gateway.sent()
    await gateway.answer(command, AckResult.ACCEPTED)
    await gateway.answer(command, AckResult.EXECUTED)
    assert gateway.phase(command) is Phase.EXECUTED
    await gateway.wait(13_000)
    assert gateway.phase(command) is Phase.UNCONFIRMED


async def test_where_no_sensor_could_say_more_the_word_of_the_device_is_the_end() -> None:
    gateway = CommandGateway()
    command = await gateway.sent(CommandKind.LOCATE)
    await gateway.answer(command)
    assert gateway.phase(command) is Phase.CONFIRMED
    assert gateway.counters.ends == ["confirmed"]


class Showing:
    """Implements `Patience`: meanwhile the bolt is seen open, or shut."""

    def __init__(self, gateway: CommandGateway, openings: int) -> None:
        self._gateway = gateway
        self._openings = openings
        self.is_done = False

    async def until(self, done: Callable[[], bool]) -> None:
        bolt = Bolt.OPEN if self._openings > 100 else Bolt.CLOSED
        await self._gateway.senses(1, self._openings, bolt)
        self.is_done = done()


async def test_an_answer_goes_with_the_report_that_shows_the_same_in_one_transaction() -> None:
    gateway = CommandGateway()
    command = await gateway.sent()
    showing = Showing(gateway, 101)
    await take_acks([gateway.ack(command)], structs.replace(gateway.ack_ports, patience=showing))
    assert showing.is_done
    assert gateway.story(command)[-3:] == ["device_ack", "evidence", "settled"]
    passed = [
        one for one in gateway.interruptions.passed if one in ("commands.move:done", "link.acknowledge")
    ]
    assert passed == ["commands.move:done", "link.acknowledge"]


async def test_an_answer_that_its_report_contradicts_is_told_before_it() -> None:
    gateway = CommandGateway()
    command = await gateway.sent()
    showing = Showing(gateway, 100)
    await take_acks([gateway.ack(command)], structs.replace(gateway.ack_ports, patience=showing))
    assert gateway.phase(command) is Phase.FAILED
    assert gateway.story(command)[-4:-1] == ["device_ack", "contradiction", "settled"]
    assert gateway.incidents() == ["evidence_contradicts_ack"]


async def test_an_answer_whose_report_could_not_be_told_is_told_by_itself() -> None:
    gateway = CommandGateway()
    command = await gateway.sent()

    class Failing:
        """Implements `Patience`: the report finds the store away."""

        async def until(self, done: Callable[[], bool]) -> None:
            gateway.interruptions.raise_always("commands.move", lambda: StoreUnavailable("away"))
            with pytest.raises(StoreUnavailable):
                await gateway.senses(1, 101)
            gateway.interruptions.heal()

    await take_acks([gateway.ack(command)], structs.replace(gateway.ack_ports, patience=Failing()))
    assert gateway.story(command)[-1] == "device_ack"
    assert gateway.phase(command) is Phase.EXECUTED
    await gateway.senses(1, 101)
    assert gateway.phase(command) is Phase.CONFIRMED
    assert gateway.story(command).count("device_ack") == 1


async def test_an_answer_that_is_heard_while_the_one_before_is_told_is_told_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One moves at a time, as in the process: the second answer waits while the store works on the first."""
    gateway = CommandGateway()
    gateway.open.moving = asyncio.Lock()
    command = await gateway.sent()
    move = gateway.commands.move
    second: list[asyncio.Task[None]] = []

    async def move_and_hear(moves: Sequence[Move]) -> Mapping[UUID, CommandRecord]:
        monkeypatch.undo()
        moved = await move(moves)
        second.append(asyncio.create_task(gateway.answer(command, AckResult.EXECUTED)))
        await asyncio.sleep(0)  # it runs up to the lock
        return moved

    monkeypatch.setattr(gateway.commands, "move", move_and_hear)
    await gateway.answer(command, AckResult.ACCEPTED)
    await second[0]
    assert gateway.phase(command) is Phase.EXECUTED


async def test_it_is_committed_before_it_is_acknowledged() -> None:
    gateway = CommandGateway()
    command = await gateway.sent()
    await gateway.answer(command)
    order = [one for one in gateway.interruptions.passed if one in ("commands.move:done", "link.acknowledge")]
    assert order == ["commands.move:done", "link.acknowledge"]


@pytest.mark.parametrize("point", ["commands.move", "commands.move:done", "keys.load"])
async def test_without_the_store_nothing_is_acknowledged_and_the_same_batch_ends_the_same(point: str) -> None:
    gateway = CommandGateway()
    command = await gateway.sent()
    batch = [gateway.ack(command, AckResult.REFUSED, reason="busy")]
    gateway.interruptions.raise_always(point, lambda: StoreUnavailable("away"))
    with pytest.raises(StoreUnavailable):
        await take_acks(batch, gateway.ack_ports)
    assert gateway.pubacks.acknowledged == []
    gateway.interruptions.heal()
    await take_acks(batch, gateway.ack_ports)
    assert (gateway.phase(command), gateway.row(command).reason) == (Phase.REFUSED, "busy")
    assert gateway.story(command).count("settled") == 1


async def test_the_same_ack_twice_is_told_once() -> None:
    gateway = CommandGateway()
    command = await gateway.sent()
    batch = [gateway.ack(command), gateway.ack(command)]
    await take_acks(batch, gateway.ack_ports)
    await take_acks(batch, gateway.ack_ports)
    assert gateway.story(command).count("device_ack") == 1
    assert gateway.incidents() == []


async def test_an_execution_after_the_deadline_is_an_incident() -> None:
    gateway = CommandGateway()
    command = await gateway.sent(ttl_s=10)
    await gateway.wait(20_000)
    await gateway.answer(command, elapsed_ms=NOW_MS + 20_000 - BOOT_MS)
    assert gateway.phase(command) is Phase.EXECUTED_LATE
    assert gateway.incidents() == gateway.counters.incidents == ["executed_late"]


async def test_an_ack_that_only_comes_late_is_no_late_execution() -> None:
    gateway = CommandGateway()
    command = await gateway.sent(CommandKind.CONFIGURE, ttl_s=10)
    await gateway.wait(40_000)
    assert gateway.phase(command) is Phase.UNCONFIRMED
    await gateway.answer(command, elapsed_ms=NOW_MS + 1_000 - BOOT_MS)
    assert gateway.phase(command) is Phase.CONFIRMED
    assert gateway.incidents() == []


async def test_a_refusal_under_another_boot_ends_nothing() -> None:
    gateway = CommandGateway()
    command = await gateway.sent()
    await gateway.answer(command, AckResult.REFUSED, boot=BOOT_MS, reason="wrong_boot")
    assert gateway.phase(command) is Phase.SENT
    assert gateway.story(command)[-1] == "device_ack"


async def test_executed_said_of_what_was_settled_otherwise_is_an_incident() -> None:
    gateway = CommandGateway()
    command = await gateway.sent()
    await gateway.answer(command, AckResult.FAILED, reason="jammed")
    await gateway.answer(command)
    await gateway.answer(command)
    assert gateway.phase(command) is Phase.FAILED
    assert gateway.incidents() == ["evidence_contradicts_ack"]


async def test_executed_said_of_what_was_never_sent_is_an_incident() -> None:
    gateway = CommandGateway()
    gateway.link.leases.clear()
    command = await gateway.sent()
    assert gateway.phase(command) is Phase.ISSUED
    await gateway.answer(command)
    assert gateway.incidents() == ["ack_without_command"]


async def test_executed_said_of_what_ended_before_it_was_sent_is_an_incident() -> None:
    """Nothing is expected of such an order and nothing kept of it, until its device speaks of it."""
    gateway = CommandGateway()
    gateway.link.leases.clear()
    command = await gateway.sent()
    await gateway.wait(20_000)
    assert (gateway.phase(command), len(gateway.open)) == (Phase.EXPIRED, 0)
    await gateway.answer(command)
    await gateway.answer(command)
    assert gateway.incidents() == ["ack_without_command"]
    assert gateway.story(command)[-1:] == ["incident"]
    assert (gateway.story(command).count("incident"), gateway.counters.bad_acks) == (1, [])
    await gateway.wait(200_000)
    assert len(gateway.open) == 0


async def test_what_proves_nothing_is_quarantined_counted_and_acknowledged() -> None:
    gateway = CommandGateway()
    command = await gateway.sent()
    forged = gateway.ack(command, key=DeviceKey(1, bytes(32)))
    old_key = gateway.ack(command, key=DeviceKey(7, bytes(32)))
    unknown = gateway.ack(command, command_id=b"x" * 16)
    stranger = type(forged)(
        forged.lane, type(forged.device_id)("nobody"), forged.frame, forged.topic, NOW_MS, forged.delivery
    )
    await take_acks([forged, old_key, unknown, stranger], gateway.ack_ports)
    assert gateway.phase(command) is Phase.SENT
    assert {frame.reason for frame in gateway.history.quarantined} == {"bad_ack"}
    assert sorted(gateway.counters.bad_acks) == ["bad_seal", "bad_seal", "unknown_command", "unknown_device"]
    assert len(gateway.pubacks.acknowledged) == 4


async def test_an_answer_that_ends_nothing_ends_the_copies_all_the_same() -> None:
    """Whoever refuses a frame has it: the same once more would be refused as well."""
    gateway = CommandGateway()
    command = await gateway.sent()
    await gateway.answer(command, AckResult.REFUSED, boot=BOOT_MS, reason="wrong_boot")
    assert gateway.phase(command) is Phase.SENT
    await gateway.wait(3_000)
    assert len(gateway.link.published) == 1


async def test_what_came_through_the_lane_of_others_proves_nothing() -> None:
    """Its seal is good; whoever owns its own lane is the one to judge."""
    gateway = CommandGateway()
    command = await gateway.sent()
    ack = gateway.ack(command)
    await take_acks([structs.replace(ack, lane=(ack.lane + 1) % 16)], gateway.ack_ports)
    assert gateway.phase(command) is Phase.SENT
    assert gateway.counters.bad_acks == ["unknown_device"]


async def test_an_answer_that_names_no_command_means_the_one_of_its_slot() -> None:
    gateway = CommandGateway("mute-locker")
    gateway.report(Report(slots=tuple(Slot(one, bolt=Bolt.CLOSED, door_closed=True) for one in (1, 2))))
    first = await gateway.sent(CommandKind.OPEN_SLOT, slot=1, ttl_s=10)
    await gateway.wait(13_000)
    second = await gateway.sent(CommandKind.OPEN_SLOT, slot=2)
    for _ in range(2):
        await gateway.answer(second, AckResult.FAILED, command_id=bytes(16), reason="jammed")
        assert (gateway.phase(first), gateway.phase(second)) == (Phase.UNCONFIRMED, Phase.FAILED)
    assert gateway.counters.bad_acks == ["unknown_command"]
    await gateway.answer(first, AckResult.FAILED, command_id=bytes(16), reason="jammed")
    assert gateway.phase(first) is Phase.FAILED


async def test_one_device_cannot_answer_for_another() -> None:
    """Not even with its own good seal."""
    gateway = CommandGateway()
    command = await gateway.sent()
    other = gateway.registry.register(type(gateway.device.device_id)("bike-b"), "bike", boots=(1,))
    mine, gateway.device = gateway.device, other
    await gateway.answer(command)
    gateway.device = mine
    assert gateway.phase(command) is Phase.SENT
    assert gateway.counters.bad_acks == ["unknown_command"]
