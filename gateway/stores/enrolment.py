"""Single-use codes with which a device that nobody has registered registers itself, once."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import timedelta

from psycopg import AsyncConnection
from psycopg.errors import ForeignKeyViolation, UniqueViolation

from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import checked_device_id, shard_of
from gateway.broker_verifier import new_password
from gateway.core.device import Status
from gateway.enrolment_port import CodeRefused, DeviceTaken, Enrolled
from gateway.key_wrapping import KeyWrapping
from gateway.stores.audit import AuditEntry, append_audit
from gateway.stores.device_identity import By, Found, in_transaction, locked, put_key, put_password
from gateway.stores.postgres_link import PostgresLink
from gateway.stores.registration import MAX_DRAWS, draw_marker, draw_public_id

CODE_BYTES = 15
"""120 random bits: nobody finds a code by trying, with or without a rate limit."""

CODES_AT_MOST = 10_000
"""Per command; a factory's day."""

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: nothing that looks like something else."""

_LOOK_ALIKES = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})

_MAKE = b"""
    insert into enrolment_code (code_hash, operator_id, model, made_by, expires_at)
    values (%s, %s, %s, %s, clock_timestamp() + %s)
"""
_FORGET = b"""
    delete from enrolment_code where used_at is null and expires_at < clock_timestamp() - interval '30 days'
"""
_USE = b"""
    update enrolment_code set used_at = clock_timestamp()
    where code_hash = %s and used_at is null and expires_at > clock_timestamp() returning operator_id, model
"""
_NOTE_DEVICE = b"update enrolment_code set device_no = %s where code_hash = %s"
_REGISTER = b"""
    insert into device (device_id, operator_id, model, status, public_id, marker, shard)
    values (%s, %s, %s, %s, %s, %s, %s) on conflict (device_id) do nothing returning device_no
"""
_WAITS_FOR_ITS_CODE = b"""
    update device set status = %s where device_id = %s and operator_id = %s and model = %s and status = %s
    returning device_no
"""


class UnknownModel(Exception):
    """No such model, or no such operator."""


class PostgresEnrolment:
    """enrolment_port.Enrolment, and the codes it takes."""

    def __init__(self, link: PostgresLink, wrapping: KeyWrapping) -> None:
        self._link = link
        self._wrapping = wrapping

    async def make_codes(
        self, model: str, by: By, *, count: int, lasts: timedelta, operator_id: int
    ) -> Sequence[str]:
        """New codes; they cannot be shown again. Raises UnknownModel, StoreUnavailable."""
        codes = [draw_code() for _ in range(count)]
        rows = [(code_hash(code), operator_id, model, by.actor, lasts) for code in codes]

        async def work(connection: AsyncConnection) -> None:
            async with connection.cursor() as cursor:
                await cursor.execute(_FORGET)
                await cursor.executemany(_MAKE, rows)
            after = {"model": model, "count": count, "lasts_s": int(lasts.total_seconds())}
            await append_audit(
                connection,
                AuditEntry(
                    operator_id, by.actor, by.role, "code_create", f"model:{model}", by.why, None, after
                ),
            )

        try:
            await self._link.run(in_transaction(work))
        except ForeignKeyViolation as error:
            raise UnknownModel(f"there is no model {model!r} or no operator {operator_id}") from error
        return codes

    async def enrol(self, code: str, device_id: str = "") -> Enrolled:
        """The code is used up on return, and only then. A device that was registered and never activated may name
        itself; any other device that exists is taken.

        Raises CodeRefused, DeviceTaken, MalformedTopic for an id no topic can carry, StoreUnavailable."""
        wanted = checked_device_id(device_id or drawn_device_id())

        async def work(connection: AsyncConnection) -> Enrolled:
            hashed = code_hash(code)
            row = await (await connection.execute(_USE, (hashed,))).fetchone()
            if row is None:
                raise CodeRefused
            operator_id, model = row
            await _register(connection, wanted, operator_id, model)
            device = await locked(connection, wanted)
            password = new_password()
            await put_password(connection, device, password)
            key = await put_key(connection, device, self._wrapping)
            await connection.execute(_NOTE_DEVICE, (device.device_no, hashed))
            await append_audit(connection, _entry(device, model, hashed))
            return Enrolled(wanted, model, password, key)

        return await self._link.run(in_transaction(work))


def draw_code() -> str:
    """Four groups of six, as a person can type it."""
    text = "".join(_ALPHABET[secrets.randbelow(32)] for _ in range(CODE_BYTES * 8 // 5))
    return "-".join(text[start : start + 6] for start in range(0, len(text), 6))


def code_hash(code: str) -> bytes:
    """Of the code however it was typed: case, dashes and look-alikes do not matter."""
    return hashlib.sha256(b"latchkey enrol " + code.upper().translate(_LOOK_ALIKES).encode()).digest()


def drawn_device_id() -> DeviceId:
    """For a device that does not say what it wants to be called."""
    return DeviceId(f"d-{secrets.token_hex(8)}")


async def _register(connection: AsyncConnection, device_id: DeviceId, operator_id: int, model: str) -> None:
    waited = await connection.execute(
        _WAITS_FOR_ITS_CODE, (int(Status.ACTIVE), device_id, operator_id, model, int(Status.REGISTERED))
    )
    if await waited.fetchone() is not None:
        return
    for _ in range(MAX_DRAWS):
        drawn = (draw_public_id(), draw_marker(), shard_of(device_id))
        try:
            async with connection.transaction():
                made = await connection.execute(
                    _REGISTER, (device_id, operator_id, model, int(Status.ACTIVE), *drawn)
                )
                row = await made.fetchone()
        except UniqueViolation:
            # The marker or the public id is another device's.
            continue
        if row is not None:
            return
        break
    raise DeviceTaken(device_id)


def _entry(device: Found, model: str, hashed: bytes) -> AuditEntry:
    # The start of the hash names the code to whoever has it, and to nobody else.
    by = By(f"device:{device.device_id}", "device")
    after = {"status": device.status.name.lower(), "model": model, "code": hashed[:6].hex()}
    return device.entry(by, "device_enrol", {}, after)
