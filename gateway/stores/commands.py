"""Commands as the owner of their lane takes them, moves them and takes them over: one round trip per batch."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from firmware_protocol.topics import shard_of
from gateway.command_ports import CommandRecord, Move
from gateway.core.command import SETTLED
from gateway.stores.command_rows import COMMAND_COLUMNS, command_record
from gateway.stores.command_trimming import trim_commands
from gateway.stores.instants import instant
from gateway.stores.postgres_links import PostgresLinks
from gateway.stores.statements import statement

CONNECTIONS = 3
"""Claims, acknowledgements and evidence come from three flows, none of which waits for the others."""

MAX_WAITING_ROWS = 1_000
"""One claim's worth; the next poll sees the rest."""

MAX_OPEN_ROWS = 100_000
"""At a take-over, some 80 MB: a fleet of 100,000 of which every device fell silent over a command. Beyond it the
oldest are left for the next take-over."""

_OPEN = f"""
    select {COMMAND_COLUMNS} from command where shard = any(%(lanes)s) and settled_at is null
    order by issued_at desc, command_id desc limit {MAX_OPEN_ROWS}
""".encode()
_WAITING = f"""
    select {COMMAND_COLUMNS} from command
    where shard = any(%(lanes)s) and settled_at is null and phase = 'issued'
    order by issued_at, command_id limit {MAX_WAITING_ROWS}
""".encode()
_SETTLED_SINCE = f"""
    select {COMMAND_COLUMNS} from command
    where settled_at >= %(since)s and sent_at is not null and shard = any(%(lanes)s)
    order by settled_at desc, command_id desc limit {MAX_OPEN_ROWS}
""".encode()
_REREAD = f"select {COMMAND_COLUMNS} from command where command_id = any(%(command_ids)s)".encode()
_CLAIM = statement("claim_commands").replace(b"{columns}", COMMAND_COLUMNS.encode())
_MOVE = statement("move_commands").replace(b"{columns}", COMMAND_COLUMNS.encode())


class PostgresCommands:
    """command_ports.CommandStore."""

    def __init__(self, dsn: str) -> None:
        self._links = PostgresLinks(dsn, name="commands", count=CONNECTIONS)

    async def open_of(self, lanes: Sequence[int]) -> Sequence[CommandRecord]:
        """Every command that is not settled, oldest first, at a take-over of lanes. Raises StoreUnavailable."""
        found = await self._commands(_OPEN, {"lanes": list(lanes)})
        return found[::-1]

    async def waiting(self, lanes: Sequence[int]) -> Sequence[CommandRecord]:
        """ISSUED ones, oldest first, at most MAX_WAITING_ROWS. Raises StoreUnavailable."""
        return await self._commands(_WAITING, {"lanes": list(lanes)})

    async def settled_since(self, lanes: Sequence[int], since_ms: int) -> Sequence[CommandRecord]:
        """Those that were sent and settled since then. Raises StoreUnavailable."""
        found = await self._commands(_SETTLED_SINCE, {"lanes": list(lanes), "since": instant(since_ms)})
        return found[::-1]

    async def claim(
        self, commands: Sequence[CommandRecord], owner: str, leases: Mapping[int, int], at_ms: int
    ) -> Sequence[CommandRecord]:
        """Those now SENT, oldest first: were ISSUED, not past `not_after` by the database's clock, and the lane
        is still `owner`'s with that lease number. Committed on return. Raises StoreUnavailable; then they may be
        SENT or not."""
        if not commands or not leases:
            return []
        arguments = {
            "command_ids": [command.command_id for command in commands],
            "lanes": [_lane_name(shard_of(command.device_id)) for command in commands],
            "held_lanes": [_lane_name(lane) for lane in leases],
            "lease_nos": list(leases.values()),
            "owner": owner,
            "at": instant(at_ms),
        }
        return await self._commands(_CLAIM, arguments)

    async def move(self, moves: Sequence[Move]) -> Mapping[UUID, CommandRecord]:
        """Those that moved, as they are now; the others were moved by someone else. At most one move of a command
        in a call. `settled_ms` is the time of the last entry. Committed on return. Raises StoreUnavailable."""
        if not moves:
            return {}
        moved = await self._commands(_MOVE, _move_arguments(moves))
        return {command.command_id: command for command in moved}

    async def reread(self, command_ids: Sequence[UUID]) -> Mapping[UUID, CommandRecord]:
        """As they are now; unknown ones are missing. Raises StoreUnavailable."""
        found = await self._commands(_REREAD, {"command_ids": list(command_ids)})
        return {command.command_id: command for command in found}

    async def trim(self, now_ms: int) -> int:
        """Forgets what is past its retention; returns how many commands went. Raises StoreUnavailable."""
        return await self._links.run(lambda connection: trim_commands(connection, now_ms))

    async def close(self) -> None:
        await self._links.close()

    async def _commands(self, sql: bytes, arguments: Mapping[str, object]) -> list[CommandRecord]:
        return [command_record(row) for row in await self._rows(sql, arguments)]

    async def _rows(self, sql: bytes, arguments: Mapping[str, object]) -> list[tuple[Any, ...]]:
        async def fetch(connection: AsyncConnection) -> list[tuple[Any, ...]]:
            async with connection.cursor(binary=True) as cursor:
                await cursor.execute(sql, arguments)
                return await cursor.fetchall() if cursor.description else []

        return await self._links.run(fetch)


def _lane_name(lane: int) -> str:
    return f"{lane:02x}"


def _move_arguments(moves: Sequence[Move]) -> dict[str, object]:
    """Columns of all moves, of all their entries and of all their incidents."""
    entries = [(move.command_id, entry) for move in moves for entry in move.entries]
    incidents = [(move.command_id, incident) for move in moves for incident in move.incidents]
    return {
        "command_ids": [move.command_id for move in moves],
        "revisions": [move.from_revision for move in moves],
        "phases": [move.to.value for move in moves],
        "reasons": [move.reason for move in moves],
        "settled_at": [instant(move.entries[-1].at_ms) if move.to in SETTLED else None for move in moves],
        "entry_ids": [command_id for command_id, _ in entries],
        "entry_at": [instant(entry.at_ms) for _, entry in entries],
        "entry_whats": [entry.what for _, entry in entries],
        "entry_phases": [entry.phase.value for _, entry in entries],
        "entry_details": [Jsonb(dict(entry.detail)) for _, entry in entries],
        "incident_movers": [command_id for command_id, _ in incidents],
        "incident_operators": [incident.operator_id for _, incident in incidents],
        "incident_devices": [incident.device_no for _, incident in incidents],
        "incident_kinds": [incident.kind for _, incident in incidents],
        "incident_at": [instant(incident.at_ms) for _, incident in incidents],
        "incident_ids": [incident.command_id for _, incident in incidents],
        "incident_details": [Jsonb(dict(incident.detail)) for _, incident in incidents],
    }
