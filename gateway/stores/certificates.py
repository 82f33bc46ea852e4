"""Which certificates devices were given, which were taken back, and the signed list of those."""

from datetime import datetime

import psycopg
from msgspec import Struct

from gateway.stores.audit import AuditEntry, append_audit_now
from gateway.stores.device_identity import By, RetiredDevice, UnknownDevice

_DEVICE = "select device_no, operator_id, status from device where device_id = %s for update"
_ADD = """
    insert into device_certificate (serial, device_no, operator_id, not_before, not_after)
    values (%s, %s, %s, %s, %s)
"""
_REVOKE = """
    update device_certificate set revoked_at = clock_timestamp()
    where device_no = %s and revoked_at is null and (%s = '' or serial = %s) returning serial
"""
_REVOKED = """
    select serial, revoked_at from device_certificate where revoked_at is not null and not_after > now()
    order by revoked_at, serial
"""
_NEXT_LIST = "select coalesce(max(crl_no), 0) + 1 from revocation_list"
_SAVE_LIST = """
    insert into revocation_list (crl_no, pem) values (%s, %s)
    on conflict (only_row) do update set crl_no = excluded.crl_no, pem = excluded.pem, signed_at = clock_timestamp()
"""
_RETIRED = 4
_LOCK = b"select pg_advisory_xact_lock(x'6c6b63726c'::bigint)"
"""One list is signed after the other."""


class Revoked(Struct, frozen=True):
    """One line of a list of revoked certificates."""

    serial: int
    at: datetime


def note_certificate(
    connection: psycopg.Connection,
    device_id: str,
    by: By,
    *,
    serial: int,
    not_before: datetime,
    not_after: datetime,
) -> None:
    """One transaction. Raises UnknownDevice, RetiredDevice, psycopg.Error."""
    with connection.transaction():
        device_no, operator_id = _found(connection, device_id)
        arguments = (hex_serial(serial), device_no, operator_id, not_before, not_after)
        connection.execute(_ADD, arguments)
        after = {"serial": hex_serial(serial), "not_after": not_after.isoformat()}
        subject = f"device:{device_id}"
        append_audit_now(
            connection,
            AuditEntry(operator_id, by.actor, by.role, "certificate_issue", subject, by.why, None, after),
        )


def revoke_certificates(
    connection: psycopg.Connection, device_id: str, by: By, *, serial: str = ""
) -> list[str]:
    """All of the device's that still stand, or the one with that serial; returns their serials. One transaction;
    the list of revoked ones must be signed anew after it. Raises UnknownDevice, psycopg.Error."""
    with connection.transaction():
        device_no, operator_id = _found(connection, device_id, even_retired=True)
        wanted = serial.lower().lstrip("0")
        serials = [row[0] for row in connection.execute(_REVOKE, (device_no, wanted, wanted))]
        if serials:
            subject, after = f"device:{device_id}", {"serials": serials}
            append_audit_now(
                connection,
                AuditEntry(
                    operator_id, by.actor, by.role, "certificate_revoke", subject, by.why, None, after
                ),
            )
    return serials


def next_list(connection: psycopg.Connection) -> tuple[int, list[Revoked]]:
    """The number and lines of the list to sign; until the transaction ends nobody else signs one."""
    connection.execute(_LOCK)
    row = connection.execute(_NEXT_LIST).fetchone()
    revoked = [Revoked(int(serial, 16), at) for serial, at in connection.execute(_REVOKED)]
    return (row[0] if row else 1), revoked


def save_list(connection: psycopg.Connection, crl_no: int, pem: str) -> None:
    """The gateways hear of it at the commit."""
    connection.execute(_SAVE_LIST, (crl_no, pem))


def hex_serial(serial: int) -> str:
    """As the database has it."""
    return f"{serial:x}"


def _found(connection: psycopg.Connection, device_id: str, *, even_retired: bool = False) -> tuple[int, int]:
    row = connection.execute(_DEVICE, (device_id,)).fetchone()
    if row is None:
        raise UnknownDevice(device_id)
    if row[2] == _RETIRED and not even_retired:
        raise RetiredDevice(device_id)
    return row[0], row[1]
