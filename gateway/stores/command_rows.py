"""Rows of the table `command` and of its timeline as the values of the ports, and back."""

from collections.abc import Sequence
from typing import Any

from psycopg.types.json import Jsonb

from firmware_protocol.commands import CommandKind
from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import shard_of
from gateway.command_ports import CommandRecord, NewCommand, TimelineEntry
from gateway.core.command import SAFETY, Phase, SafetyClass
from gateway.stores.instants import instant, unix_ms

COMMAND_COLUMNS = (
    "command_id, operator_id, device_no, device_id, model, firmware, kind, slot, settings, boot, fence, issued_at, "
    "not_after, phase, revision, lease_no, sent_at, settled_at, reason, requested_by, claim_id, openings_before, "
    "unit_before"
)
NEW_COMMAND_ROW = """
    row(%(command_id)s::uuid, %(operator_id)s::int, %(device_no)s::int, %(device_id)s::text, %(shard)s::smallint,
        %(model)s::text, %(firmware)s::text, %(kind)s::smallint, %(one_shot)s::boolean, %(slot)s::smallint,
        %(settings)s::jsonb, %(boot)s::bigint, %(last_fence)s::bigint, %(issued_at)s::timestamptz,
        %(not_after)s::timestamptz, 'issued', 1, 0, null, null, '', %(requested_by)s::text, %(claim_id)s::text,
        %(openings_before)s::bigint, %(unit_before)s::text)::command
"""
"""As the table has its columns; the fence is the last one that the caller knows of, the command gets its own."""


def command_record(row: Sequence[Any]) -> CommandRecord:
    """From COMMAND_COLUMNS; more columns may follow."""
    return CommandRecord(
        command_id=row[0],
        operator_id=row[1],
        device_no=row[2],
        device_id=DeviceId(row[3]),
        model=row[4],
        firmware=row[5],
        kind=CommandKind(row[6]),
        slot=row[7],
        settings=row[8],
        boot=row[9],
        fence=row[10],
        issued_ms=unix_ms(row[11]),
        not_after_ms=unix_ms(row[12]),
        phase=Phase(row[13]),
        revision=row[14],
        lease_no=row[15],
        sent_ms=None if row[16] is None else unix_ms(row[16]),
        settled_ms=None if row[17] is None else unix_ms(row[17]),
        reason=row[18],
        requested_by=row[19],
        claim_id=row[20],
        openings_before=row[21],
        unit_before=row[22],
    )


def timeline_entry(row: Sequence[Any]) -> TimelineEntry:
    """From `at, what, phase, detail`."""
    return TimelineEntry(unix_ms(row[0]), row[1], Phase(row[2]), row[3])


def new_command_arguments(new: NewCommand) -> dict[str, Any]:
    """The arguments of NEW_COMMAND_ROW."""
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
        "settings": Jsonb(dict(new.settings)),
        "boot": device.boot,
        "last_fence": new.last_fence,
        "issued_at": instant(new.issued_ms),
        "not_after": instant(new.not_after_ms),
        "requested_by": new.requested_by,
        "claim_id": new.claim_id,
        "openings_before": new.openings_before,
        "unit_before": new.unit_before,
    }
