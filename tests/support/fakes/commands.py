"""Commands in memory: both sides of the store over one set of rows."""

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from msgspec import structs

from firmware_protocol.topics import shard_of
from gateway.command_ports import (
    CommandRecord,
    DeviceChanged,
    Incident,
    Issued,
    IssueOutcome,
    KeyReused,
    Move,
    NewCommand,
    SlotBusy,
    TimelineEntry,
)
from gateway.core.command import SAFETY, SETTLED, Phase, SafetyClass
from gateway.core.device import DeviceRecord
from gateway.ports import Clock
from tests.support.fakes.interruptions import Interruptions
from tests.support.fakes.leases import FakeLeases

MAX_WAITING = 1_000
DAY_MS = 24 * 3_600_000
DONE = frozenset({Phase.CONFIRMED, Phase.EXECUTED_LATE})


class FakeCommands:
    """Implements `CommandStore` and `CommandDesk`."""

    def __init__(
        self, clock: Clock, leases: FakeLeases | None = None, interruptions: Interruptions | None = None
    ) -> None:
        self.rows: dict[UUID, CommandRecord] = {}
        """In the order of issue."""
        self.lines: dict[UUID, list[TimelineEntry]] = {}
        self.incidents: list[Incident] = []
        self.fences: dict[int, int] = {}
        self.devices: Mapping[int, DeviceRecord] = {}
        """As they are, by number; of one that is missing every word is believed."""
        self._keys: dict[tuple[str, str], tuple[bytes, UUID]] = {}
        self._clock = clock
        self._leases = leases
        self._interruptions = interruptions or Interruptions()

    # --- CommandDesk -----------------------------------------------------------------------------

    async def already(self, principal: str, key: str, digest: bytes) -> Issued | KeyReused | None:
        await self._interruptions.point("commands.already")
        return self._already(principal, key, digest)

    async def issue(self, new: NewCommand) -> IssueOutcome:
        await self._interruptions.point("commands.issue")
        outcome = self._issue(new)
        await self._interruptions.point("commands.issue:done")
        return outcome

    async def find(self, command_id: UUID) -> CommandRecord | None:
        await self._interruptions.point("commands.find")
        return self.rows.get(command_id)

    async def timeline(self, command_id: UUID) -> Sequence[TimelineEntry]:
        await self._interruptions.point("commands.timeline")
        return list(self.lines.get(command_id, ()))

    async def of_device(
        self, device_no: int, operator_id: int, *, before: UUID | None, limit: int
    ) -> Sequence[CommandRecord]:
        await self._interruptions.point("commands.of_device")
        whose = (device_no, operator_id)
        newest = [
            record
            for record in reversed(self.rows.values())
            if (record.device_no, record.operator_id) == whose
        ]
        if before is not None:
            fence = next((record.fence for record in newest if record.command_id == before), 0)
            newest = [record for record in newest if record.fence < fence]
        return newest[:limit]

    async def cancel(self, command_id: UUID, at_ms: int, by: str, why: str) -> CommandRecord:
        return await self._end(command_id, Phase.ISSUED, Phase.CANCELLED, at_ms, by, why)

    async def abandon(self, command_id: UUID, at_ms: int, by: str, why: str) -> CommandRecord:
        return await self._end(command_id, Phase.UNCONFIRMED, Phase.ABANDONED, at_ms, by, why)

    async def settled(
        self, command_id: UUID, *, timeout_s: float, known: CommandRecord | None = None
    ) -> CommandRecord | None:
        await self._interruptions.point("commands.settled")
        return self.rows.get(command_id)

    # --- CommandStore ----------------------------------------------------------------------------

    async def open_of(self, lanes: Sequence[int]) -> Sequence[CommandRecord]:
        await self._interruptions.point("commands.open_of")
        return [record for record in self._in(lanes) if record.phase not in SETTLED]

    async def waiting(self, lanes: Sequence[int]) -> Sequence[CommandRecord]:
        await self._interruptions.point("commands.waiting")
        return [record for record in self._in(lanes) if record.phase is Phase.ISSUED][:MAX_WAITING]

    async def settled_since(self, lanes: Sequence[int], since_ms: int) -> Sequence[CommandRecord]:
        await self._interruptions.point("commands.settled_since")
        return [
            record
            for record in self._in(lanes)
            if record.sent_ms is not None and record.settled_ms is not None and record.settled_ms >= since_ms
        ]

    async def claim(
        self,
        commands: Sequence[CommandRecord],
        owner: str,
        leases: Mapping[int, int],
        at_ms: int,
        *,
        meanwhile: Callable[[], None] | None = None,
    ) -> Sequence[CommandRecord]:
        await self._interruptions.point("commands.claim")
        if meanwhile is not None and any(shard_of(command.device_id) in leases for command in commands):
            meanwhile()
        claimed = [
            self._claim(command.command_id, owner, leases, at_ms)
            for command in commands
            if self._may_claim(command.command_id, owner, leases)
        ]
        await self._interruptions.point("commands.claim:done")
        return claimed

    async def move(self, moves: Sequence[Move]) -> Mapping[UUID, CommandRecord]:
        await self._interruptions.point("commands.move")
        moved = {move.command_id: self._move(move) for move in moves if self._may_move(move)}
        await self._interruptions.point("commands.move:done")
        return moved

    async def reread(self, command_ids: Sequence[UUID]) -> Mapping[UUID, CommandRecord]:
        await self._interruptions.point("commands.reread")
        return {one: self.rows[one] for one in command_ids if one in self.rows}

    # --- rows ------------------------------------------------------------------------------------

    def _in(self, lanes: Sequence[int]) -> list[CommandRecord]:
        wanted = frozenset(lanes)
        return [record for record in self.rows.values() if shard_of(record.device_id) in wanted]

    def _already(self, principal: str, key: str, digest: bytes) -> Issued | KeyReused | None:
        known = self._keys.get((principal, key))
        if known is None:
            return None
        if known[0] != digest:
            return KeyReused(known[1])
        return Issued(self.rows[known[1]], repeated=True)

    def _issue(self, new: NewCommand) -> IssueOutcome:
        known = self._already(new.requested_by, new.idempotency_key, new.request_digest)
        if known is not None:
            return known
        device_no = new.device.device_no
        one_shot = SAFETY[new.kind] is SafetyClass.ONE_SHOT
        for record in self.rows.values() if one_shot else ():
            same = record.device_no == device_no and record.slot == new.slot and record.phase not in SETTLED
            if same and SAFETY[record.kind] is SafetyClass.ONE_SHOT:
                if record.operator_id != new.device.operator_id:
                    return SlotBusy(None, None)
                return SlotBusy(record.command_id, record.phase)
        if _judged_by(self.devices.get(device_no, new.device)) != _judged_by(new.device):
            return DeviceChanged()
        overtaken = self._overtaken(new)
        done_since = [one for one in overtaken if one.phase in DONE and one.boot == new.device.boot]
        if one_shot and new.openings_before is not None and done_since:
            return DeviceChanged()
        stale = bool(overtaken)
        fence = self.fences[device_no] = self.fences.get(device_no, 0) + 1
        record = self.rows[new.command_id] = CommandRecord(
            command_id=new.command_id,
            operator_id=new.device.operator_id,
            device_no=device_no,
            device_id=new.device.device_id,
            model=new.device.model,
            firmware=new.firmware,
            kind=new.kind,
            slot=new.slot,
            settings=new.settings,
            boot=new.device.boot,
            fence=fence,
            issued_ms=new.issued_ms,
            not_after_ms=new.not_after_ms,
            phase=Phase.ISSUED,
            revision=1,
            requested_by=new.requested_by,
            claim_id=new.claim_id,
            openings_before=None if stale else new.openings_before,
            unit_before="" if stale else new.unit_before,
        )
        self.lines[new.command_id] = [
            TimelineEntry(new.requested_ms, "requested", Phase.ISSUED),
            TimelineEntry(new.issued_ms, "issued", Phase.ISSUED, {"fence": fence}),
        ]
        self._keys[new.requested_by, new.idempotency_key] = (new.request_digest, new.command_id)
        return Issued(record)

    def _overtaken(self, new: NewCommand) -> list[CommandRecord]:
        """What was done, or may have been, in this place since the state that the wish was judged by."""
        return [
            record
            for record in self.rows.values()
            if record.device_no == new.device.device_no
            and record.slot == new.slot
            and record.fence > new.last_fence
            and SAFETY[record.kind] is SafetyClass.ONE_SHOT
            and record.phase in DONE | {Phase.ABANDONED}
        ]

    async def _end(
        self, command_id: UUID, before: Phase, after: Phase, at_ms: int, by: str, why: str
    ) -> CommandRecord:
        await self._interruptions.point(f"commands.{after.value}")
        record = self.rows[command_id]
        if record.phase is before:
            entry = TimelineEntry(at_ms, after.value, after, {"by": by, "why": why})
            self._move(Move(command_id, record.revision, None, after, (entry,), reason=after.value))
        return self.rows[command_id]

    def _may_move(self, move: Move) -> bool:
        record = self.rows.get(move.command_id)
        if record is None or record.revision != move.from_revision:
            return False
        gives_up = move.to is Phase.ABANDONED and record.phase is not Phase.ABANDONED
        return not gives_up or self._clock.now_ms() - record.issued_ms >= DAY_MS

    def _may_claim(self, command_id: UUID, owner: str, leases: Mapping[int, int]) -> bool:
        record = self.rows.get(command_id)
        if record is None or record.phase is not Phase.ISSUED or record.not_after_ms <= self._clock.now_ms():
            return False
        lane = shard_of(record.device_id)
        if lane not in leases:
            return False
        return self._leases is None or self._leases.is_held(owner, lane, leases[lane])

    def _claim(self, command_id: UUID, owner: str, leases: Mapping[int, int], at_ms: int) -> CommandRecord:
        record = self.rows[command_id]
        lease_no = leases[shard_of(record.device_id)]
        self.lines[command_id].append(
            TimelineEntry(at_ms, "claimed", Phase.SENT, {"owner": owner, "lease_no": lease_no})
        )
        claimed = self.rows[command_id] = structs.replace(
            record,
            phase=Phase.SENT,
            revision=record.revision + 1,
            lease_no=lease_no,
            sent_ms=at_ms,
        )
        return claimed

    def _move(self, move: Move) -> CommandRecord:
        record = self.rows[move.command_id]
        ends = move.to in SETTLED and record.phase not in SETTLED
        self.lines[move.command_id].extend(move.entries)
        known = {(one.command_id, one.kind) for one in self.incidents}
        self.incidents += [one for one in move.incidents if (one.command_id, one.kind) not in known]
        moved = self.rows[move.command_id] = structs.replace(
            record,
            phase=move.to,
            revision=record.revision + 1,
            reason=move.reason or record.reason,
            settled_ms=move.entries[-1].at_ms if ends else record.settled_ms,
        )
        return moved


def _judged_by(device: DeviceRecord) -> tuple[object, ...]:
    return device.status, device.model, device.operator_id, device.boot
