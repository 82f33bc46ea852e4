"""The signed frame of a command, always the same for the same command and key."""

from collections.abc import Iterable, Mapping
from typing import Final
from uuid import UUID, uuid5

from firmware_protocol.commands import Command, CommandKind
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.signature import sign_command
from gateway.command_ports import CommandRecord
from gateway.core.command import SAFETY, Phase, SafetyClass
from gateway.core.device import DeviceModel, Quirk
from gateway.core.evidence import Ordered

PROBES: Final = UUID("6c6b7072-6f62-5000-8000-000000000001")


def is_one_shot(command: CommandRecord) -> bool:
    return SAFETY[command.kind] is SafetyClass.ONE_SHOT


def is_sent_once(command: CommandRecord, model: DeviceModel) -> bool:
    """A second copy could be another physical act."""
    return is_one_shot(command) and not {Quirk.DUP_UNSAFE, Quirk.IGNORES_TTL}.isdisjoint(model.quirks)


def needs_probe(command: CommandRecord, model: DeviceModel) -> bool:
    return is_one_shot(command) and Quirk.IGNORES_TTL in model.quirks


def signed_frame(command: CommandRecord, key: DeviceKey) -> bytes:
    """What is published for it."""
    order = Command(
        command.command_id.bytes,
        command.boot,
        command.fence,
        command.not_after_ms // 1000,
        command.kind,
        command.slot,
        dict(command.settings),
    )
    return sign_command(order, device_id=command.device_id, key=key)


def sign_all(
    commands: Iterable[CommandRecord], keys: Mapping[UUID, DeviceKey], into: dict[UUID, bytes]
) -> None:
    """The frames by command, each with the key of its own."""
    into.update((one.command_id, signed_frame(one, keys[one.command_id])) for one in commands)


def probe_id(command: CommandRecord, number: int) -> UUID:
    """Of one question before this command."""
    return uuid5(PROBES, f"{command.command_id}/{number}")


def probe_frame(command: CommandRecord, number: int, key: DeviceKey) -> bytes:
    """A QUERY with an id of its own: the device's answer proves that it listens now."""
    query = Command(
        probe_id(command, number).bytes,
        command.boot,
        command.fence,
        command.not_after_ms // 1000,
        CommandKind.QUERY,
    )
    return sign_command(query, device_id=command.device_id, key=key)


def ordered(command: CommandRecord, phase: Phase) -> Ordered:
    """What evidence needs to know of it, once it is in this phase."""
    return Ordered(
        command.kind,
        command.slot,
        command.fence,
        command.boot,
        command.issued_ms if command.sent_ms is None else command.sent_ms,
        command.not_after_ms,
        phase,
        command.openings_before,
        command.unit_before,
    )
