"""What a process knows of open commands."""

from math import inf

from msgspec import structs

from gateway.command_ports import CommandRecord
from gateway.commands.in_flight import FIRST_REPEAT_MS, LATE_ANSWERS_MS, WATCH_MS, Flight, Probe
from gateway.commands.open_commands import OpenCommands
from gateway.core.command import Phase
from tests.support.fakes.command_gateway import CommandGateway


async def record() -> CommandRecord:
    return await CommandGateway().sent()


async def test_an_older_word_changes_nothing() -> None:
    known, command = OpenCommands(), await record()
    known.learn(structs.replace(command, revision=5, phase=Phase.ACCEPTED))
    assert known.learn(command).record.phase is Phase.ACCEPTED


async def test_a_settled_command_waits_for_nothing_and_is_watched_for_a_while() -> None:
    known, command = OpenCommands(), await record()
    known.learn(command).flight = Flight(1, 1, 2, once=False)
    one = known.learn(structs.replace(command, revision=9, phase=Phase.CONFIRMED, settled_ms=10))
    assert list(known) == []
    assert one.flight is None
    assert set(known.devices) == {command.device_no}
    known.forget_watched(10 + WATCH_MS - 1)
    assert len(known) == 1
    known.forget_watched(10 + WATCH_MS)
    assert (len(known), set(known.devices)) == (0, set())


async def test_lines_of_a_settled_command_are_still_to_be_written() -> None:
    known, command = OpenCommands(), await record()
    one = known.learn(command)
    one.add_line(1, "broker_ack")
    settled = structs.replace(command, revision=9, phase=Phase.CONFIRMED, settled_ms=10)
    known.learn(settled)
    assert list(known) == [one]
    one.lines = ()
    known.learn(structs.replace(settled, revision=10))
    assert list(known) == []


async def test_what_was_never_sent_needs_no_watching() -> None:
    known, command = OpenCommands(), await record()
    known.learn(structs.replace(command, sent_ms=None, phase=Phase.EXPIRED))
    assert len(known) == 0


async def test_a_lost_lane_is_forgotten() -> None:
    known, command = OpenCommands(), await record()
    known.lanes = set(range(16))
    known.learn(command)
    known.forget_lanes(range(16))
    assert (len(known), known.lanes) == (0, set())


async def test_only_the_newest_probe_of_its_own_device_counts() -> None:
    known, command = OpenCommands(), await record()
    stirred: list[bool] = []
    known.stirred = lambda: stirred.append(True)
    one = known.learn(command)
    first, second = (
        structs.replace(command, command_id=type(command.command_id)(int=n)).command_id for n in (1, 2)
    )
    known.asked(first, command.command_id, Probe(1, 5))
    known.asked(second, command.command_id, Probe(2, 6))
    assert not known.probe_answered(second, type(command.device_id)("other"))
    assert known.probe_answered(first, command.device_id)
    assert one.probe == Probe(2, 6)
    assert known.probe_answered(second, command.device_id)
    assert one.probe == Probe(2, 6, answered=True)
    assert stirred == [True]
    known.forget(command.command_id)
    assert not known.probe_answered(second, command.device_id)


async def test_what_is_due_next_is_a_frame_or_the_end_of_waiting() -> None:
    known, command = OpenCommands(), await record()
    one = known.learn(command)
    end_ms = command.not_after_ms + LATE_ANSWERS_MS
    assert one.due_ms == end_ms
    one.flight = Flight(command.issued_ms, 1, command.not_after_ms, once=False)
    assert one.due_ms == command.issued_ms + FIRST_REPEAT_MS
    one.flight = Flight(command.issued_ms, 1, command.not_after_ms, once=True)
    assert one.due_ms == end_ms
    known.learn(structs.replace(command, revision=9, phase=Phase.CONFIRMED, settled_ms=10))
    assert one.due_ms == inf


async def test_only_what_nobody_claimed_is_still_issued() -> None:
    known, command = OpenCommands(), await record()
    new = structs.replace(command, phase=Phase.ISSUED, revision=1)
    known.learn(new)
    assert known.issued() == [new]
    known.learn(command)
    assert known.issued() == []
