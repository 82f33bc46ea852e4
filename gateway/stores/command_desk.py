"""Commands as whoever asks for them meets them: issued, looked at, waited for, taken back."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

import psycopg

from gateway.backoff import Chance
from gateway.command_ports import (
    CommandRecord,
    DeviceChanged,
    Issued,
    IssueOutcome,
    KeyReused,
    NewCommand,
    SlotBusy,
    TimelineEntry,
)
from gateway.core.command import SETTLED, TRANSITIONS, Happening, Phase
from gateway.ports import StoreUnavailable
from gateway.stores.command_rows import COMMAND, command_of, new_commands_json, timeline_entry
from gateway.stores.gathering import Gathering
from gateway.stores.instants import instant
from gateway.stores.notices import SETTLED_CHANNEL, Notices
from gateway.stores.postgres_link import fetch_rows
from gateway.stores.postgres_links import PostgresLinks
from gateway.stores.settled_waits import SettledWaits
from gateway.stores.statements import statement

CONNECTIONS = 4
"""Per API process: commits queue up for the disk and for the chain of the audit log anyway."""

ISSUING = 2
"""While one batch is on its way to the disk the next one is worked out."""

MAX_ISSUED_AT_ONCE = 64
"""A transaction of 20 ms; larger ones keep their devices locked for longer and save nothing more."""

_ISSUE = b"select outcome, answer from latchkey_issue_commands($1::jsonb)"
_ALREADY = f"""
    select command_key.digest, {COMMAND}
    from command_key join command using (command_id)
    where command_key.principal = %(principal)s and command_key.key = %(key)s
""".encode()
_FIND = f"select {COMMAND} from command where command_id = %(command_id)s".encode()
_TIMELINE = b"""
    select at, what, phase, detail from command_event where command_id = %(command_id)s order by event_no
"""
_OF_DEVICE = f"""
    select {COMMAND} from command
    where device_no = %(device_no)s and operator_id = %(operator_id)s and fence < coalesce(
        (select fence from command
         where command_id = %(before)s and device_no = %(device_no)s and operator_id = %(operator_id)s),
        case when %(before)s::uuid is null then {2**63 - 1} else 0 end)
    order by fence desc limit %(limit)s
""".encode()
_DONE = b"""
    select command_id from command
    where command_id = any(%(command_ids)s) and (settled_at is not null or phase = 'unconfirmed')
"""
_SETTLE = statement("settle_command")


class PostgresCommandDesk:
    """command_ports.CommandDesk. `run` must run while anybody waits."""

    def __init__(self, dsn: str, *, chance: Chance) -> None:
        self._links = PostgresLinks(dsn, name="desk", count=CONNECTIONS)
        self._issuing: Gathering[NewCommand, IssueOutcome] = Gathering(
            self._issue_batch, side_by_side=ISSUING, at_most=MAX_ISSUED_AT_ONCE
        )
        self._waits = SettledWaits()
        self._notices = Notices(
            dsn,
            {SETTLED_CHANNEL: self._waits.wake},
            chance=chance,
            name="desk-notices",
            listening=self._waits.wake_all,
        )

    async def run(self) -> None:
        """For ever: hears which commands are settled; ends only by cancellation."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._notices.run())
            group.create_task(self._waits.poll(self._done))

    async def close(self) -> None:
        await self._issuing.close()
        await self._links.close()

    async def already(self, principal: str, key: str, digest: bytes) -> Issued | KeyReused | None:
        """What the key stands for. Raises StoreUnavailable."""
        for stored, text in await self._rows(_ALREADY, {"principal": principal, "key": key}):
            command = command_of(text)
            return Issued(command, repeated=True) if stored == digest else KeyReused(command.command_id)
        return None

    async def issue(self, new: NewCommand) -> IssueOutcome:
        """One transaction, committed on return. Raises StoreUnavailable; then it may exist or not, and the same
        key finds out."""
        return await self._issuing.ask(new)

    async def find(self, command_id: UUID) -> CommandRecord | None:
        """Raises StoreUnavailable."""
        rows = await self._rows(_FIND, {"command_id": command_id})
        return command_of(rows[0][0]) if rows else None

    async def timeline(self, command_id: UUID) -> Sequence[TimelineEntry]:
        """In the order it was written; empty for an unknown one. Raises StoreUnavailable."""
        return [timeline_entry(row) for row in await self._rows(_TIMELINE, {"command_id": command_id})]

    async def of_device(
        self, device_no: int, operator_id: int, *, before: UUID | None, limit: int
    ) -> Sequence[CommandRecord]:
        """Of this operator, newest first, older than `before`; none when the device has no such command of it.
        Raises StoreUnavailable."""
        arguments = {"device_no": device_no, "operator_id": operator_id, "before": before, "limit": limit}
        return [command_of(text) for (text,) in await self._rows(_OF_DEVICE, arguments)]

    async def cancel(self, command_id: UUID, at_ms: int, by: str, why: str) -> CommandRecord:
        """Cancelled when it was ISSUED, else unchanged. Raises KeyError for an unknown one, StoreUnavailable."""
        return await self._settle(command_id, Happening.CANCEL, at_ms, by=by, why=why)

    async def abandon(self, command_id: UUID, at_ms: int, by: str, why: str) -> CommandRecord:
        """ABANDONED when it was UNCONFIRMED, else unchanged. Raises KeyError for an unknown one, StoreUnavailable."""
        return await self._settle(command_id, Happening.ABANDON, at_ms, by=by, why=why)

    async def settled(
        self, command_id: UUID, *, timeout_s: float, known: CommandRecord | None = None
    ) -> CommandRecord | None:
        """Returns once it is settled or UNCONFIRMED, else as it stands after the time; None when there is none.
        `known` as whoever ordered it a moment ago has it. Raises StoreUnavailable."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + timeout_s
        with self._waits.waiting(command_id) as waiting:
            command = known or await self.find(command_id)
            while command is not None and not _answers(command):
                try:
                    async with asyncio.timeout_at(end_s):
                        await waiting.woken.wait()
                except TimeoutError:
                    return await self.find(command_id)
                waiting.woken.clear()
                command = waiting.heard or await self.find(command_id)
            return command

    async def _issue_batch(self, wanted: Sequence[NewCommand]) -> Sequence[IssueOutcome | Exception]:
        in_order = sorted(range(len(wanted)), key=lambda place: wanted[place].device.device_no)
        try:
            rows = await self._links.call(_ISSUE, (new_commands_json([wanted[place] for place in in_order]),))
        except (StoreUnavailable, psycopg.DataError, psycopg.IntegrityError) as error:
            # One of them may spoil it for all: a key that two use in other orders, a device that is gone.
            if len(wanted) == 1 or not _is_about_content(error):
                raise
            return [await self._issue_alone(new) for new in wanted]
        outcomes = dict(zip(in_order, map(_issue_outcome, rows), strict=True))
        return [outcomes[place] for place in range(len(wanted))]

    async def _issue_alone(self, new: NewCommand) -> IssueOutcome | Exception:
        try:
            return (await self._issue_batch([new]))[0]
        except (StoreUnavailable, psycopg.DataError, psycopg.IntegrityError) as error:
            return error

    async def _done(self, command_ids: Collection[UUID]) -> Collection[UUID]:
        return [row[0] for row in await self._rows(_DONE, {"command_ids": list(command_ids)})]

    async def _settle(
        self, command_id: UUID, happening: Happening, at_ms: int, *, by: str, why: str
    ) -> CommandRecord:
        """By a person: the one step that the table allows from the one phase that allows it."""
        ((before, after),) = [(phase, to) for (phase, what), to in TRANSITIONS.items() if what is happening]
        arguments = {
            "command_id": command_id,
            "before": before.value,
            "after": after.value,
            "action": f"command_{happening.value}",
            "at": instant(at_ms),
            "by": by,
            "why": why,
        }
        rows = await self._rows(_SETTLE, arguments)
        if rows:
            return command_of(rows[0][0])
        command = await self.find(command_id)
        if command is None:
            raise KeyError(command_id)
        return command

    async def _rows(self, sql: bytes, arguments: Mapping[str, object]) -> list[tuple[Any, ...]]:
        return await self._links.run(lambda connection: fetch_rows(connection, sql, arguments))


def _answers(command: CommandRecord) -> bool:
    """Whoever waits need not wait longer."""
    return command.phase in SETTLED or command.phase is Phase.UNCONFIRMED


def _issue_outcome(row: Sequence[bytes | None]) -> IssueOutcome:
    outcome, told = row
    if outcome == b"device_changed":
        return DeviceChanged()
    if outcome == b"slot_busy" and told is None:
        return SlotBusy(None, None)
    if told is None:
        raise StoreUnavailable("the key was forgotten in this very moment")
    command = command_of(told)
    match outcome:
        case b"issued" | b"repeated":
            return Issued(command, repeated=outcome == b"repeated")
        case b"key_reused":
            return KeyReused(command.command_id)
        case _:
            return SlotBusy(command.command_id, command.phase)


def _is_about_content(error: Exception) -> bool:
    """Whether PostgreSQL refused these very commands; else it is away, and asking for each would take long."""
    return not isinstance(error, StoreUnavailable) or isinstance(
        error.__cause__, psycopg.errors.DeadlockDetected
    )
