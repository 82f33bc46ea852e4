"""What is done to one device: steps through life, a new password, a new key; each with a line in the audit log."""

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from psycopg import AsyncConnection

from firmware_protocol.device_key import DeviceKey
from firmware_protocol.limits import DEVICE_KEY_BYTES
from firmware_protocol.messages import DeviceId
from gateway.broker_verifier import new_password, verifier
from gateway.core.device import Status
from gateway.core.device_life import LifeStep, step_on
from gateway.key_wrapping import KeyWrapping, Wrapped
from gateway.stores.audit import AuditEntry, append_audit
from gateway.stores.postgres_link import PostgresLink

KEY_OVERLAP_S = 60
"""How long the old key of a device still verifies what it says, unless asked otherwise."""

REWRAP_PAGE = 1_000
"""Keys per transaction, so that none of them is locked for long."""

Answer = TypeVar("Answer")

_FIND = b"select device_no, operator_id, status from device where device_id = %s for update"
_SET_STATUS = b"update device set status = %s where device_no = %s"
_SET_VERIFIER = b"""
    insert into device_credential (device_no, operator_id, verifier) values (%s, %s, %s)
    on conflict (device_no) do update set verifier = excluded.verifier, changed_at = clock_timestamp()
"""
_NEWEST_KEY = b"select coalesce(max(key_no), 0) from device_key where device_no = %s"
_END_KEYS = b"""
    update device_key set ends_at = clock_timestamp() + make_interval(secs => %s)
    where device_no = %s and (ends_at is null or ends_at > clock_timestamp() + make_interval(secs => %s))
"""
_ADD_KEY = b"""
    insert into device_key (device_no, key_no, operator_id, wrapped_by, wrapped) values (%s, %s, %s, %s, %s)
"""
_DROP_PASSWORD = b"delete from device_credential where device_no = %s"
_SEALED_BY_OTHERS = b"""
    select device_no, key_no, wrapped_by, wrapped from device_key where wrapped_by <> %s
    order by wrapped_by, device_no limit %s for update skip locked
"""
_REWRAP = b"update device_key set wrapped_by = %s, wrapped = %s where device_no = %s and key_no = %s"


class UnknownDevice(Exception):
    """Nobody registered it."""

    def __init__(self, device_id: str) -> None:
        super().__init__(f"no device is called {device_id!r}")
        self.device_id = device_id


class RetiredDevice(Exception):
    """It gets nothing any more."""

    def __init__(self, device_id: str) -> None:
        super().__init__(f"{device_id} is retired, for good")
        self.device_id = device_id


@dataclass(frozen=True, slots=True)
class By:
    """Who does it, and why: for the audit log."""

    actor: str
    """The principal, as `role:subject`."""
    role: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A device, locked until the end of the transaction."""

    device_id: DeviceId
    device_no: int
    operator_id: int
    status: Status

    def entry(self, by: By, action: str, before: dict[str, Any], after: dict[str, Any]) -> AuditEntry:
        """The line of the audit log."""
        return AuditEntry(
            operator_id=self.operator_id,
            actor=by.actor,
            role=by.role,
            action=action,
            subject=f"device:{self.device_id}",
            why=by.why,
            before=before,
            after=after,
        )


class PostgresDeviceIdentity:
    """Every change is one transaction, heard by the gateways at its commit."""

    def __init__(self, link: PostgresLink, wrapping: KeyWrapping) -> None:
        self._link = link
        self._wrapping = wrapping

    async def step(self, device_id: str, step: LifeStep, by: By) -> Status:
        """The status now. A retired device's keys, password and certificates end with it.

        Raises UnknownDevice, StepRefused, StoreUnavailable."""

        async def work(connection: AsyncConnection) -> Status:
            device = await locked(connection, device_id)
            after = step_on(device.status, step)
            await connection.execute(_SET_STATUS, (int(after), device.device_no))
            if after is Status.RETIRED:
                await connection.execute(_END_KEYS, (0, device.device_no, 0))
                await connection.execute(_DROP_PASSWORD, (device.device_no,))
            change = {"status": device.status.name.lower()}, {"status": after.name.lower()}
            await append_audit(connection, device.entry(by, f"device_{step}", *change))
            return after

        return await self._link.run(in_transaction(work))

    async def change_password(self, device_id: str, by: By, *, password: str = "") -> str:
        """The new password: a random one unless given. The old one is refused from the broker's next look on.

        Raises UnknownDevice, RetiredDevice, StoreUnavailable."""
        given = password or new_password()

        async def work(connection: AsyncConnection) -> str:
            device = _in_use(await locked(connection, device_id))
            await put_password(connection, device, given)
            # Neither the password nor what is kept of it belongs into a log.
            await append_audit(connection, device.entry(by, "device_password", {}, {}))
            return given

        return await self._link.run(in_transaction(work))

    async def change_key(self, device_id: str, by: By, *, overlap_s: int = KEY_OVERLAP_S) -> DeviceKey:
        """The new key, which signs from now on; older ones verify for `overlap_s` more seconds.

        Raises UnknownDevice, RetiredDevice, StoreUnavailable."""

        async def work(connection: AsyncConnection) -> DeviceKey:
            device = _in_use(await locked(connection, device_id))
            key = await put_key(connection, device, self._wrapping, overlap_s=overlap_s)
            change = {"key": key.number - 1}, {"key": key.number, "overlap_s": overlap_s}
            await append_audit(connection, device.entry(by, "device_key", *change))
            return key

        return await self._link.run(in_transaction(work))

    async def rewrap(self) -> int:
        """Seals up to REWRAP_PAGE keys anew that another than the newest key-encryption key seals; how many.

        Raises CannotUnwrap, StoreUnavailable."""
        newest = self._wrapping.newest

        async def work(connection: AsyncConnection) -> int:
            cursor = await connection.execute(_SEALED_BY_OTHERS, (newest, REWRAP_PAGE), binary=True)
            rows = [(Wrapped(row[2], row[3]), row[0], row[1]) for row in await cursor.fetchall()]
            anew = [
                (self._wrapping.rewrap(wrapped, device_no=device_no, key_no=key_no), device_no, key_no)
                for wrapped, device_no, key_no in rows
            ]
            await cursor.executemany(
                _REWRAP,
                [(wrapped.by, wrapped.sealed, device_no, key_no) for wrapped, device_no, key_no in anew],
            )
            return len(anew)

        return await self._link.run(in_transaction(work))


async def locked(connection: AsyncConnection, device_id: str) -> Found:
    """The device, until the end of the transaction. Raises UnknownDevice."""
    row = await (await connection.execute(_FIND, (device_id,))).fetchone()
    if row is None:
        raise UnknownDevice(device_id)
    return Found(DeviceId(device_id), row[0], row[1], Status(row[2]))


async def put_password(connection: AsyncConnection, device: Found, password: str) -> None:
    """Only what the broker verifies it by is kept."""
    await connection.execute(_SET_VERIFIER, (device.device_no, device.operator_id, verifier(password)))


async def put_key(
    connection: AsyncConnection, device: Found, wrapping: KeyWrapping, *, overlap_s: int = 0
) -> DeviceKey:
    """A new key, whose number is one more than the last; older ones end after the overlap."""
    row = await (await connection.execute(_NEWEST_KEY, (device.device_no,))).fetchone()
    key = DeviceKey((row[0] if row else 0) + 1, os.urandom(DEVICE_KEY_BYTES))
    await connection.execute(_END_KEYS, (overlap_s, device.device_no, overlap_s))
    wrapped = wrapping.wrap(key, device_no=device.device_no)
    arguments = (device.device_no, key.number, device.operator_id, wrapped.by, wrapped.sealed)
    await connection.execute(_ADD_KEY, arguments)
    return key


def _in_use(device: Found) -> Found:
    if device.status is Status.RETIRED:
        raise RetiredDevice(device.device_id)
    return device


def in_transaction(
    work: Callable[[AsyncConnection], Awaitable[Answer]],
) -> Callable[[AsyncConnection], Awaitable[Answer]]:
    """The work as one transaction."""

    async def run(connection: AsyncConnection) -> Answer:
        async with connection.transaction():
            return await work(connection)

    return run
