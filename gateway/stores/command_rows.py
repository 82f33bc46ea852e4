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
NEW_COMMAND_ROWS = """
    array(
        select row(command_id, operator_id, device_no, device_id, shard, model, firmware, kind, one_shot, slot,
                   settings, boot, last_fence, issued_at, not_after, 'issued', 1, 0, null, null, '', requested_by,
                   claim_id, openings_before, unit_before)::command
        from unnest(
            %(command_id)s::uuid[], %(operator_id)s::int[], %(device_no)s::int[], %(device_id)s::text[],
            %(shard)s::smallint[], %(model)s::text[], %(firmware)s::text[], %(kind)s::smallint[],
            %(one_shot)s::boolean[], %(slot)s::smallint[], %(settings)s::jsonb[], %(boot)s::bigint[],
            %(last_fence)s::bigint[], %(issued_at)s::timestamptz[], %(not_after)s::timestamptz[],
            %(requested_by)s::text[], %(claim_id)s::text[], %(openings_before)s::bigint[], %(unit_before)s::text[]
        ) with ordinality as new (
            command_id, operator_id, device_no, device_id, shard, model, firmware, kind, one_shot, slot, settings, boot,
            last_fence, issued_at, not_after, requested_by, claim_id, openings_before, unit_before, place)
        order by place
    )
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


def new_command_arguments(wanted: Sequence[NewCommand]) -> dict[str, list[Any]]:
    """The arguments of NEW_COMMAND_ROWS."""
    return {
        "command_id": [new.command_id for new in wanted],
        "operator_id": [new.device.operator_id for new in wanted],
        "device_no": [new.device.device_no for new in wanted],
        "device_id": [new.device.device_id for new in wanted],
        "shard": [shard_of(new.device.device_id) for new in wanted],
        "model": [new.device.model for new in wanted],
        "firmware": [new.firmware for new in wanted],
        "kind": [int(new.kind) for new in wanted],
        "one_shot": [SAFETY[new.kind] is SafetyClass.ONE_SHOT for new in wanted],
        "slot": [new.slot for new in wanted],
        "settings": [Jsonb(dict(new.settings)) for new in wanted],
        "boot": [new.device.boot for new in wanted],
        "last_fence": [new.last_fence for new in wanted],
        "issued_at": [instant(new.issued_ms) for new in wanted],
        "not_after": [instant(new.not_after_ms) for new in wanted],
        "requested_by": [new.requested_by for new in wanted],
        "claim_id": [new.claim_id for new in wanted],
        "openings_before": [new.openings_before for new in wanted],
        "unit_before": [new.unit_before for new in wanted],
    }
