"""Frames of commands."""

from firmware_protocol.commands import CommandKind
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.signature import verify_command
from gateway.commands.frames import is_sent_once, needs_probe, ordered, probe_frame, probe_id, signed_frame
from gateway.core.command import Phase
from tests.support.fakes.command_gateway import ODD, CommandGateway
from tests.support.fakes.samples import BIKE

KEY = DeviceKey(1, b"k" * 32)


async def test_a_command_always_has_the_same_frame() -> None:
    command = await CommandGateway().sent(CommandKind.CONFIGURE, settings={"volume": 3})
    frame = signed_frame(command, KEY)
    assert frame == signed_frame(command, KEY)
    heard = verify_command(frame, device_id=command.device_id, keys=[KEY])
    assert (heard.kind, heard.settings, heard.slot) == (CommandKind.CONFIGURE, {"volume": 3}, 0)


async def test_a_probe_is_a_question_with_an_id_of_its_own() -> None:
    command = await CommandGateway().sent()
    heard = verify_command(probe_frame(command, 1, KEY), device_id=command.device_id, keys=[KEY])
    assert heard.kind is CommandKind.QUERY
    assert heard.command_id == probe_id(command, 1).bytes
    assert len({probe_id(command, 1), probe_id(command, 2), command.command_id}) == 3


async def test_quirks_matter_for_one_shots_only() -> None:
    gateway = CommandGateway()
    unlock, locate = await gateway.issued(), await gateway.issued(CommandKind.LOCATE)
    assert (is_sent_once(unlock, ODD), needs_probe(unlock, ODD)) == (True, True)
    assert (is_sent_once(locate, ODD), needs_probe(locate, ODD)) == (False, False)
    assert (is_sent_once(unlock, BIKE), needs_probe(unlock, BIKE)) == (False, False)


async def test_evidence_sees_the_command_as_it_was_sent() -> None:
    gateway = CommandGateway()
    command = await gateway.sent()
    seen = ordered(command, Phase.EXECUTED)
    assert seen.phase is Phase.EXECUTED
    assert (seen.fence, seen.slot, seen.openings_before) == (command.fence, 0, 100)
    assert seen.sent_ms == command.sent_ms
