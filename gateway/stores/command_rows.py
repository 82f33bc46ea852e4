"""Rows of the table `command` and of its timeline as the values of the ports, and back."""

from collections.abc import Sequence
from typing import Any

import msgspec

from firmware_protocol.topics import shard_of
from gateway.command_ports import CommandRecord, NewCommand, TimelineEntry
from gateway.core.command import SAFETY, Phase, SafetyClass
from gateway.stores.instants import unix_ms

COMMAND = "latchkey_command_json(command)"
"""What `command_of` reads, of a row of the table: one text costs a tenth of two dozen columns, on both ends."""

_decode = msgspec.json.Decoder(CommandRecord).decode


def command_of(text: str | bytes) -> CommandRecord:
    """From COMMAND."""
    return _decode(text)


def command_heard(payload: str) -> CommandRecord | None:
    """From a notice; None when it does not say the whole command."""
    try:
        return _decode(payload)
    except msgspec.DecodeError:
        return None


def timeline_entry(row: Sequence[Any]) -> TimelineEntry:
    """From `at, what, phase, detail`."""
    return TimelineEntry(unix_ms(row[0]), row[1], Phase(row[2]), row[3])


def new_commands_json(wanted: Sequence[NewCommand]) -> bytes:
    """The argument of `latchkey_issue_commands`."""
    return msgspec.json.encode([_new_command(new) for new in wanted])


def _new_command(new: NewCommand) -> dict[str, object]:
    device = new.device
    return {
        "command_id": new.command_id,
        "operator_id": device.operator_id,
        "device_no": device.device_no,
        "device_id": device.device_id,
        "shard": shard_of(device.device_id),
        "model": device.model,
        "firmware": new.firmware,
        "kind": int(new.kind),
        "one_shot": SAFETY[new.kind] is SafetyClass.ONE_SHOT,
        "slot": new.slot,
        "settings": new.settings,
        "status": int(device.status),
        "boot": device.boot,
        "last_fence": new.last_fence,
        "requested_ms": new.requested_ms,
        "issued_ms": new.issued_ms,
        "not_after_ms": new.not_after_ms,
        "requested_by": new.requested_by,
        "claim_id": new.claim_id,
        "openings_before": new.openings_before,
        "unit_before": new.unit_before,
        "key": new.idempotency_key,
        "digest": new.request_digest.hex(),
        "why": new.why,
        "what": _for_the_audit_log(new),
    }


def _for_the_audit_log(new: NewCommand) -> dict[str, object]:
    return {
        "command": new.command_id,
        "kind": new.kind.name.lower(),
        "slot": new.slot,
        "settings": new.settings,
        "claim": new.claim_id,
        "not_after_ms": new.not_after_ms,
    }
