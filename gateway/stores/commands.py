"""Commands as the owner of their lane takes them, moves them and takes them over: one round trip per batch."""

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

import msgspec
from msgspec import Struct
from psycopg import AsyncConnection

from firmware_protocol.topics import shard_of
from gateway.command_ports import CommandRecord, Move
from gateway.core.command import SETTLED
from gateway.stores.command_rows import COMMAND, command_of
from gateway.stores.command_trimming import trim_commands
from gateway.stores.instants import instant
from gateway.stores.postgres_links import PostgresLinks
from gateway.stores.quick_connection import Texts

CONNECTIONS = 3
"""Claims, acknowledgements and evidence come from three flows, none of which waits for the others."""

MAX_WAITING_ROWS = 1_000
"""One claim's worth; the next poll sees the rest."""

MAX_OPEN_ROWS = 100_000
"""At a take-over, some 80 MB: a fleet of 100,000 of which every device fell silent over a command. Beyond it the
oldest are left for the next take-over."""

_OPEN = f"""
    select {COMMAND} from command where shard = any(%(lanes)s) and settled_at is null
    order by issued_at desc, command_id desc limit {MAX_OPEN_ROWS}
""".encode()
_WAITING = f"""
    select {COMMAND} from command
    where shard = any(%(lanes)s) and settled_at is null and phase = 'issued'
    order by issued_at, command_id limit {MAX_WAITING_ROWS}
""".encode()
_SETTLED_SINCE = f"""
    select {COMMAND} from command
    where settled_at >= %(since)s and sent_at is not null and shard = any(%(lanes)s)
    order by settled_at desc, command_id desc limit {MAX_OPEN_ROWS}
""".encode()
_REREAD = f"select {COMMAND} from command where command_id = any(%(command_ids)s)".encode()
_CLAIM = b"select * from latchkey_claim_commands($1::jsonb, $2::text, latchkey_instant($3::bigint))"
_MOVE = b"select * from latchkey_move_commands($1::jsonb)"


class _Claim(Struct):
    command_id: UUID
    lane: str
    lease_no: int


class _Judged(Struct):
    move: Move
    settled_ms: int | None


class PostgresCommands:
    """command_ports.CommandStore."""

    def __init__(self, dsn: str) -> None:
        self._links = PostgresLinks(dsn, name="commands", count=CONNECTIONS)

    async def open(self) -> None:
        """Before the first order waits for it. Raises StoreUnavailable."""
        await self._links.open()

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
        self,
        commands: Sequence[CommandRecord],
        owner: str,
        leases: Mapping[int, int],
        at_ms: int,
        *,
        meanwhile: Callable[[], None] | None = None,
    ) -> Sequence[CommandRecord]:
        """Those now SENT, oldest first: were ISSUED, not past `not_after` by the database's clock, and the lane
        is still `owner`'s with that lease number. Committed on return. Raises StoreUnavailable; then they may be
        SENT or not."""
        asked = [
            _Claim(command.command_id, f"{lane:02x}", leases[lane])
            for command in commands
            if (lane := shard_of(command.device_id)) in leases
        ]
        if not asked:
            return []
        arguments = (msgspec.json.encode(asked), owner.encode(), b"%d" % at_ms)
        claimed = _records(await self._links.call(_CLAIM, arguments, meanwhile=meanwhile))
        return sorted(claimed, key=lambda command: (command.issued_ms, command.command_id))

    async def move(self, moves: Sequence[Move]) -> Mapping[UUID, CommandRecord]:
        """Those that moved, as they are now; the others were moved by someone else, or are given up before a day
        has passed by the database's clock. At most one move of a command in a call. `settled_ms` is the time of the
        last entry. Committed on return. Raises StoreUnavailable."""
        if not moves:
            return {}
        asked = [_Judged(move, move.entries[-1].at_ms if move.to in SETTLED else None) for move in moves]
        moved = _records(await self._links.call(_MOVE, (msgspec.json.encode(asked),)))
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
        async def fetch(connection: AsyncConnection) -> list[CommandRecord]:
            async with connection.cursor(binary=True) as cursor:
                await cursor.execute(sql, arguments)
                return [command_of(text) for (text,) in await cursor.fetchall()]

        return await self._links.run(fetch)


def _records(answer: Texts) -> list[CommandRecord]:
    return [command_of(text) for (text,) in answer if text is not None]
