"""Commands end by what sensors say."""

from collections.abc import Mapping, Sequence

import pytest

from firmware_protocol.commands import AckResult, CommandKind
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.messages import Bolt
from gateway.commands.in_flight import WATCH_MS
from gateway.core.command import Phase
from gateway.core.evidence import ACTING_MS
from gateway.ports import StoreUnavailable
from tests.support.fakes.command_gateway import CommandGateway
from tests.support.fakes.samples import BOOT


async def test_an_opening_with_its_fence_confirms() -> None:
    gateway = CommandGateway()
    command = await gateway.sent()
    await gateway.senses(0, 101)
    assert gateway.phase(command) is Phase.SENT
    await gateway.senses(1, 101)
    assert gateway.phase(command) is Phase.CONFIRMED
    assert gateway.story(command)[-2:] == ["evidence", "settled"]


async def test_only_devices_with_something_open_are_asked_for() -> None:
    gateway = CommandGateway()
    assert set(gateway.settle.open_devices) == set()
    await gateway.sent()
    assert set(gateway.settle.open_devices) == {gateway.device.device_no}


async def test_a_word_without_an_opening_is_a_contradiction() -> None:
    gateway = CommandGateway()
    command = await gateway.sent()
    await gateway.answer(command, AckResult.EXECUTED)
    await gateway.senses(1, 100, Bolt.CLOSED)
    assert (gateway.phase(command), gateway.row(command).reason) == (Phase.FAILED, "did_not_open")
    assert "contradiction" in gateway.story(command)
    assert gateway.incidents() == ["evidence_contradicts_ack"]


async def test_a_report_that_overtakes_the_word_it_contradicts_settles_all_the_same() -> None:
    gateway = CommandGateway()
    command = await gateway.sent()
    await gateway.answer(command, AckResult.ACCEPTED)
    await gateway.senses(1, 100, Bolt.CLOSED)
    assert (gateway.phase(command), gateway.row(command).reason) == (Phase.FAILED, "did_not_open")
    await gateway.answer(command, AckResult.EXECUTED)
    assert gateway.phase(command) is Phase.FAILED
    assert gateway.incidents() == ["evidence_contradicts_ack"]


async def test_late_evidence_still_settles() -> None:
    gateway = CommandGateway()
    opened, stayed = CommandGateway(), CommandGateway()
    for gateway in (opened, stayed):
        await gateway.sent()
        await gateway.wait(13_000)
        gateway.clock.advance(ms=ACTING_MS)
    await opened.senses(1, 101)
    await stayed.senses(0, 100, Bolt.CLOSED)
    assert [one.phase for one in opened.commands.rows.values()] == [Phase.CONFIRMED]
    assert [one.phase for one in stayed.commands.rows.values()] == [Phase.FAILED]
    assert opened.incidents() + stayed.incidents() == []


async def test_two_openings_for_one_command_are_an_incident_told_once() -> None:
    gateway = CommandGateway()
    command = await gateway.sent()
    await gateway.senses(1, 101)
    for _ in range(3):
        await gateway.senses(1, 102)
    assert gateway.phase(command) is Phase.CONFIRMED
    assert gateway.incidents() == ["executed_twice"]
    assert gateway.story(command).count("incident") == 1


@pytest.mark.parametrize(("later_ms", "incidents"), [(WATCH_MS - 1, ["executed_twice"]), (WATCH_MS, [])])
async def test_what_was_settled_long_ago_is_to_blame_for_nothing(later_ms: int, incidents: list[str]) -> None:
    """Later commands that opened the same place may have been forgotten by then."""
    gateway = CommandGateway()
    command = await gateway.sent()
    await gateway.senses(1, 101)
    assert gateway.phase(command) is Phase.CONFIRMED
    gateway.clock.advance(ms=later_ms)
    await gateway.senses(1, 102)
    assert gateway.incidents() == incidents


async def test_an_opening_after_it_was_settled_as_not_done_is_an_incident() -> None:
    gateway = CommandGateway()
    command = await gateway.sent()
    await gateway.wait(13_000)
    gateway.clock.advance(ms=ACTING_MS)
    await gateway.senses(0, 100, Bolt.CLOSED)
    await gateway.senses(1, 101)
    assert gateway.phase(command) is Phase.FAILED
    assert gateway.incidents() == ["executed_late"]


async def test_a_later_command_takes_the_blame_for_its_own_opening() -> None:
    gateway = CommandGateway()
    first = await gateway.sent()
    await gateway.answer(first, AckResult.FAILED, reason="jammed")
    second = await gateway.sent()
    await gateway.senses(2, 101)
    assert (gateway.phase(first), gateway.phase(second)) == (Phase.FAILED, Phase.CONFIRMED)
    assert gateway.incidents() == []


async def test_a_new_boot_settles_a_reboot() -> None:
    gateway = CommandGateway()
    command = await gateway.sent(CommandKind.REBOOT)
    await gateway.settle.booted([gateway.device], gateway.clock.now_ms())
    assert gateway.phase(command) is Phase.SENT
    gateway.registry.put(
        type(gateway.device)(1, gateway.device.device_id, 1, "bike", gateway.device.status, "p", 1, BOOT + 9)
    )
    rebooted = gateway.registry.known(gateway.device.device_id)
    assert rebooted is not None
    await gateway.settle.booted([rebooted], gateway.clock.now_ms())
    assert gateway.phase(command) is Phase.CONFIRMED


async def test_a_lane_that_was_lost_is_judged_by_its_new_owner() -> None:
    gateway = CommandGateway()
    command = await gateway.sent()
    gateway.dispatch.lanes_lost(range(16))
    await gateway.senses(1, 101)
    assert gateway.phase(command) is Phase.SENT
    gateway.dispatch.lanes_taken(range(16))
    await gateway.wait(1)
    await gateway.senses(1, 101)
    assert gateway.phase(command) is Phase.CONFIRMED


async def test_a_lane_is_judged_only_once_all_that_is_open_in_it_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A batch was in hand while the lane was taken: the command that explains the opening is not read yet."""
    gateway = CommandGateway()
    first = await gateway.sent()
    await gateway.answer(first, AckResult.FAILED, reason="jammed")
    await gateway.sent()
    gateway.restart()
    load = gateway.keys.load

    async def hear_and_load(device_nos: Sequence[int]) -> Mapping[int, Sequence[DeviceKey]]:
        monkeypatch.undo()
        assert [one.record.command_id for one in gateway.open.of_device(gateway.device.device_no)] == [
            first.command_id
        ]
        await gateway.senses(2, 101)
        return await load(device_nos)

    monkeypatch.setattr(gateway.keys, "load", hear_and_load)
    await gateway.dispatch.turn()
    assert gateway.incidents() == []


@pytest.mark.parametrize("point", ["commands.move", "commands.move:done"])
async def test_evidence_offered_again_after_a_failure_ends_the_same(point: str) -> None:
    gateway = CommandGateway()
    command = await gateway.sent()
    gateway.interruptions.raise_always(point, lambda: StoreUnavailable("away"))
    with pytest.raises(StoreUnavailable):
        await gateway.senses(1, 102)
    gateway.interruptions.heal()
    await gateway.senses(1, 102)
    assert gateway.phase(command) is Phase.CONFIRMED
    assert gateway.incidents() == ["executed_twice"]
    assert gateway.story(command).count("settled") == 1
