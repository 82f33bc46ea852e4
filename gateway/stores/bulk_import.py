"""Many devices with passwords and keys put into the registry, a chunk at a time: each chunk whole or not at all."""

import os
from collections.abc import Callable, Sequence

import psycopg
from msgspec import Struct

from firmware_protocol.device_key import DeviceKey
from firmware_protocol.limits import DEVICE_KEY_BYTES
from firmware_protocol.messages import DeviceId
from gateway.broker_verifier import new_password
from gateway.key_wrapping import KeyWrapping
from gateway.stores.audit import AuditEntry, append_audit_now
from gateway.stores.credentials import put_keys, put_passwords
from gateway.stores.device_identity import By
from gateway.stores.registration import NewDevice, bulk_register

FIRST_KEY = 1

_EXISTING = b"select device_id from device where device_id = any(%s)"


class Credentials(Struct, frozen=True):
    """What one new device enters with and signs with; told once."""

    device_id: DeviceId
    password: str
    key: DeviceKey | None
    """None for hardware that cannot verify: it gets plain welcomes and no commands."""

    def __repr__(self) -> str:
        """Without what is secret."""
        return f"Credentials({self.device_id})"


class AlreadyRegistered(Exception):
    """Devices of the chunk exist; nothing of it was imported."""

    def __init__(self, device_ids: frozenset[str]) -> None:
        super().__init__(f"{len(device_ids)} devices are registered already")
        self.device_ids = device_ids


def import_chunk(
    connection: psycopg.Connection,
    devices: Sequence[NewDevice],
    wrapping: KeyWrapping,
    by: By,
    *,
    passwords: Sequence[str] = (),
    with_keys: bool = True,
    keep: Callable[[Sequence[Credentials]], None] = lambda made: None,
) -> Sequence[Credentials]:
    """One transaction: devices, what the broker verifies them by, sealed keys, one line of the audit log per operator.

    `passwords` are theirs in the same order; where one is empty, or none are given, it is drawn. `keep` is called
    before the commit, so that no device exists whose credentials nobody has; what it raises ends the transaction.
    Raises AlreadyRegistered, MalformedTopic for an id that no topic can carry, psycopg.Error (a model or operator
    that is not registered)."""
    chosen = [given or new_password() for given in passwords or [""] * len(devices)]
    drawn = [
        Credentials(
            device.device_id,
            password,
            DeviceKey(FIRST_KEY, os.urandom(DEVICE_KEY_BYTES)) if with_keys else None,
        )
        for device, password in zip(devices, chosen, strict=True)
    ]
    ids = [device.device_id for device in devices]
    with connection.transaction(), connection.cursor() as cursor:
        if existing := cursor.execute(_EXISTING, [ids]).fetchall():
            raise AlreadyRegistered(frozenset(row[0] for row in existing))
        bulk_register(connection, [], devices)
        put_passwords(connection, {made.device_id: made.password for made in drawn})
        if with_keys:
            put_keys(
                connection, {made.device_id: made.key for made in drawn if made.key is not None}, wrapping
            )
        keep(drawn)
        for entry in _entries(devices, by):
            append_audit_now(connection, entry)
    return drawn


def _entries(devices: Sequence[NewDevice], by: By) -> list[AuditEntry]:
    """One per operator: a line for each of a hundred thousand would say no more."""
    entries = []
    for operator_id in sorted({device.operator_id for device in devices}):
        theirs = [device.device_id for device in devices if device.operator_id == operator_id]
        subject = f"device:{theirs[0]}" if len(theirs) == 1 else f"devices:{theirs[0]}..{theirs[-1]}"
        after = {"devices": len(theirs), "first": theirs[0], "last": theirs[-1]}
        entries.append(
            AuditEntry(operator_id, by.actor, by.role, "device_register", subject, by.why, None, after)
        )
    return entries
