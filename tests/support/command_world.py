"""Commands, and where they are kept: PostgreSQL, and the fake that simulations use."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar
from uuid import uuid4

from msgspec import structs

from firmware_protocol.commands import CommandKind
from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import shard_of
from gateway.clock import SystemClock
from gateway.command_ports import (
    CommandDesk,
    CommandRecord,
    CommandStore,
    Issued,
    Move,
    NewCommand,
    TimelineEntry,
)
from gateway.core.command import Happening, advance
from gateway.core.device import DeviceRecord
from gateway.ports import StoreUnavailable
from gateway.stores.command_desk import PostgresCommandDesk
from gateway.stores.commands import PostgresCommands
from gateway.stores.device_rows import DEVICE_COLUMNS, device_record
from gateway.stores.leases import PostgresLeases
from tests.support.fakes.clock import FakeClock
from tests.support.fakes.commands import FakeCommands
from tests.support.fakes.leases import LEASE_MS, FakeLeases
from tests.support.fakes.registry import FakeRegistry
from tests.support.stored import CABINET, ask, register

Answer = TypeVar("Answer")

OWNER = "gateway-a"
DEVICE_ID = DeviceId("cabinet-a")
OTHER_ID = DeviceId("cabinet-b")
BOOT = 1_790_000_000
LANE = shard_of(DEVICE_ID)


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


class World(Protocol):
    """A desk, a store and leases, where `DEVICE_ID` and `OTHER_ID` are registered."""

    desk: CommandDesk
    store: CommandStore

    def now_ms(self) -> int: ...

    def device(self, name: str = DEVICE_ID) -> DeviceRecord: ...

    async def hold(self, owner: str = OWNER, lanes: Sequence[int] = range(16)) -> Mapping[int, int]:
        """lane -> lease number for those that are the owner's now."""

    def expire_leases(self) -> None:
        """All run out."""

    def reboot(self) -> None:
        """Every device has the next boot number."""

    def hand_over(self) -> None:
        """Every device is operator 2's now."""


class FakeWorld:
    """In memory."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.leases = FakeLeases(self.clock)
        self.fake = FakeCommands(self.clock, self.leases)
        self.desk: CommandDesk = self.fake
        self.store: CommandStore = self.fake
        registry = FakeRegistry([CABINET])
        self._devices = {
            name: structs.replace(registry.register(name, CABINET.model), boot=BOOT)
            for name in (DEVICE_ID, OTHER_ID)
        }
        self.fake.devices = {record.device_no: record for record in self._devices.values()}

    def now_ms(self) -> int:
        self.clock.advance(ms=1)
        return self.clock.now_ms()

    def device(self, name: str = DEVICE_ID) -> DeviceRecord:
        return self._devices[DeviceId(name)]

    async def hold(self, owner: str = OWNER, lanes: Sequence[int] = range(16)) -> Mapping[int, int]:
        return await self.leases.take(owner, lanes)

    def expire_leases(self) -> None:
        self.clock.advance(ms=LEASE_MS)

    def reboot(self) -> None:
        self._change(lambda record: structs.replace(record, boot=record.boot + 1))

    def hand_over(self) -> None:
        self._change(lambda record: structs.replace(record, operator_id=2))

    def _change(self, changed: Callable[[DeviceRecord], DeviceRecord]) -> None:
        self._devices = {name: changed(record) for name, record in self._devices.items()}
        self.fake.devices = {record.device_no: record for record in self._devices.values()}


class PostgresWorld:
    """Over one database."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.postgres_desk = PostgresCommandDesk(dsn, chance=lambda: 0.5)
        self.postgres_store = PostgresCommands(dsn)
        self.desk: CommandDesk = self.postgres_desk
        self.store: CommandStore = self.postgres_store
        self.leases = PostgresLeases(dsn)
        register(dsn, DEVICE_ID, OTHER_ID, model=CABINET)
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

    def reboot(self) -> None:
        ask(self.dsn, "update device set boot = boot + 1")

    def hand_over(self) -> None:
        ask(self.dsn, "insert into operator (operator_id, name) values (2, 'two')")
        ask(self.dsn, "update device set operator_id = 2")

    async def close(self) -> None:
        await self.postgres_desk.close()
        await self.postgres_store.close()
        await self.leases.close()


async def surely(ask_store: Callable[[], Awaitable[Answer]]) -> Answer:
    """The answer of the first attempt that finds the store."""
    while True:
        with suppress(StoreUnavailable):
            return await ask_store()


async def issued(world: World, **changes: Any) -> CommandRecord:
    """A command that is ISSUED now."""
    device = changes.pop("device", None) or world.device()
    outcome = await world.desk.issue(wish(device, world.now_ms(), **changes))
    assert isinstance(outcome, Issued), outcome
    return outcome.command


async def sent(world: World, **changes: Any) -> CommandRecord:
    """A command that is SENT now, by OWNER."""
    leases = await world.hold()
    command = await issued(world, **changes)
    (claimed,) = await world.store.claim([command], OWNER, leases, world.now_ms())
    return claimed


async def moved(world: World, command: CommandRecord, *happenings: Happening) -> CommandRecord:
    """After these, one after the other."""
    for happening in happenings:
        answer = await world.store.move([step(command, happening, world.now_ms())])
        command = answer[command.command_id]
    return command
