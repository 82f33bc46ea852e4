"""Commands, and the stores they are kept in, for tests that run on PostgreSQL."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar
from uuid import uuid4

from msgspec import structs

from firmware_protocol.commands import CommandKind
from firmware_protocol.topics import shard_of
from gateway.clock import SystemClock
from gateway.command_ports import CommandRecord, Issued, Move, NewCommand, TimelineEntry
from gateway.core.command import Happening, advance
from gateway.core.device import DeviceRecord
from gateway.ports import StoreUnavailable
from gateway.stores.command_desk import PostgresCommandDesk
from gateway.stores.commands import PostgresCommands
from gateway.stores.device_rows import DEVICE_COLUMNS, device_record
from gateway.stores.leases import PostgresLeases
from tests.support.stored import CABINET, ask, register

Answer = TypeVar("Answer")

OWNER = "gateway-a"
DEVICE_ID = "cabinet-a"
BOOT = 1_790_000_000
LANE = shard_of(DEVICE_ID)  # type: ignore[arg-type]  # a name of ours


def wish(device: DeviceRecord, now_ms: int, **changes: Any) -> NewCommand:
    """An eject from slot 1 that is good for ten seconds, under a key of its own."""
    command_id = uuid4()
    command = NewCommand(
        command_id=command_id,
        device=device,
        firmware="1.4.0",
        kind=CommandKind.EJECT,
        slot=1,
        settings={},
        requested_ms=now_ms - 3,
        issued_ms=now_ms,
        not_after_ms=(now_ms + 10_000) // 1000 * 1000,
        requested_by="staff:ada",
        why="a rider called",
        idempotency_key=str(command_id),
        request_digest=hashlib.sha256(b"eject 1").digest(),
        claim_id="",
        openings_before=41,
        unit_before="unit-1",
    )
    return structs.replace(command, **changes)


def step(command: CommandRecord, happening: Happening, at_ms: int, **changes: Any) -> Move:
    """The move that the table allows for it, with one line."""
    to = advance(command.phase, happening)
    assert to is not None
    entry = TimelineEntry(at_ms, happening.value, to, {"by": "test", "n": 1, "sure": True})
    return structs.replace(Move(command.command_id, command.revision, happening, to, [entry]), **changes)


class PostgresWorld:
    """A desk, a store and leases over one database, in which `DEVICE_ID` is registered."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.desk = PostgresCommandDesk(dsn, chance=lambda: 0.5)
        self.store = PostgresCommands(dsn)
        self.leases = PostgresLeases(dsn)
        register(dsn, DEVICE_ID, "cabinet-b", model=CABINET)
        ask(dsn, "update device set boot = %s", (BOOT,))

    def now_ms(self) -> int:
        return SystemClock().now_ms()

    def device(self, name: str = DEVICE_ID) -> DeviceRecord:
        (row,) = ask(self.dsn, f"select {DEVICE_COLUMNS} from device where device_id = %s", (name,))
        return device_record(row)

    async def hold(self, owner: str = OWNER, lanes: Sequence[int] = range(16)) -> Mapping[int, int]:
        return await self.leases.take(owner, lanes)

    def expire_leases(self) -> None:
        ask(self.dsn, "update lease set expires_at = clock_timestamp() - interval '1 second'")

    async def close(self) -> None:
        await self.desk.close()
        await self.store.close()
        await self.leases.close()


async def surely(ask_store: Callable[[], Awaitable[Answer]]) -> Answer:
    """The answer of the first attempt that finds the store."""
    while True:
        with suppress(StoreUnavailable):
            return await ask_store()


async def issued(world: PostgresWorld, **changes: Any) -> CommandRecord:
    """A command that is ISSUED now."""
    device = changes.pop("device", None) or world.device()
    outcome = await world.desk.issue(wish(device, world.now_ms(), **changes))
    assert isinstance(outcome, Issued), outcome
    return outcome.command


async def sent(world: PostgresWorld, **changes: Any) -> CommandRecord:
    """A command that is SENT now, by OWNER."""
    leases = await world.hold()
    command = await issued(world, **changes)
    (claimed,) = await world.store.claim([command], OWNER, leases, world.now_ms())
    return claimed


async def moved(world: PostgresWorld, command: CommandRecord, *happenings: Happening) -> CommandRecord:
    """After these, one after the other."""
    for happening in happenings:
        answer = await world.store.move([step(command, happening, world.now_ms())])
        command = answer[command.command_id]
    return command
