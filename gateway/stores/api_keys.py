"""Keys of programs: made, listed and revoked with a row in the audit log, found by the API."""

from collections.abc import Collection, Sequence
from typing import Any

import psycopg

from gateway.people import KnownKey
from gateway.stores.audit import AuditEntry, append_audit_now
from gateway.stores.instants import instant, unix_ms
from gateway.stores.postgres_link import PostgresLink
from gateway.stores.reading_pool import ReadingPool

_COLUMNS = "key_id, operator_id, role, name, secret_hash, created_at, expires_at, revoked_at, last_used_at"
_FIND = f"select {_COLUMNS} from api_key where key_id = %(key_id)s"
_LIST = f"select {_COLUMNS} from api_key where operator_id = %s order by created_at, key_id".encode()
_INSERT = b"""
    insert into api_key (key_id, operator_id, role, name, secret_hash, created_by, expires_at)
    values (%s, %s, %s, %s, %s, %s, %s)
"""
_REVOKE = b"""
    update api_key set revoked_at = now() where key_id = %s and revoked_at is null
    returning operator_id, role, name
"""
_NOTE_USED = b"""
    update api_key set last_used_at = %s
    where key_id = any(%s) and (last_used_at is null or last_used_at < %s)
"""


class PostgresApiKeys:
    """What the API reads and notes of keys."""

    def __init__(self, pool: ReadingPool, link: PostgresLink) -> None:
        self._pool = pool
        self._link = link

    async def find(self, key_id: str) -> KnownKey | None:
        """Revoked ones too. Raises StoreUnavailable."""
        rows = await self._pool.rows(_FIND, {"key_id": key_id})
        return _known(rows[0]) if rows else None

    async def note_used(self, key_ids: Collection[str], at_ms: int) -> None:
        """For the list that people read. Raises StoreUnavailable."""
        at = instant(at_ms)
        await self._link.run(lambda connection: connection.execute(_NOTE_USED, (at, list(key_ids), at)))


def create_key(connection: psycopg.Connection, key: KnownKey, *, by: str, why: str) -> None:
    """Committed with its row in the audit log. Raises psycopg.errors.ForeignKeyViolation for an unknown operator."""
    expires = None if key.expires_ms is None else instant(key.expires_ms)
    stored = (key.key_id, key.operator_id, key.role, key.name, key.secret_hash, by, expires)
    after = {"role": key.role, "name": key.name, "expires_at": expires.isoformat() if expires else None}
    with connection.transaction():
        connection.execute(_INSERT, stored)
        told = AuditEntry(key.operator_id, by, "console", "key_create", f"key:{key.key_id}", why, after=after)
        append_audit_now(connection, told)


def list_keys(connection: psycopg.Connection, operator_id: int) -> Sequence[KnownKey]:
    """All of an operator, the oldest first."""
    return [_known(row) for row in connection.execute(_LIST, (operator_id,)).fetchall()]


def revoke_key(connection: psycopg.Connection, key_id: str, *, by: str, why: str) -> bool:
    """False when there is no such key, or it was revoked before. Committed with its row in the audit log."""
    with connection.transaction():
        row = connection.execute(_REVOKE, (key_id,)).fetchone()
        if row is None:
            return False
        before = {"role": row[1], "name": row[2]}
        told = AuditEntry(row[0], by, "console", "key_revoke", f"key:{key_id}", why, before=before)
        append_audit_now(connection, told)
    return True


def _known(row: Sequence[Any]) -> KnownKey:
    key_id, operator_id, role, name, secret_hash, *moments = row
    created, expires, revoked, used = (None if one is None else unix_ms(one) for one in moments)
    return KnownKey(key_id, operator_id, role, name, bytes(secret_hash), created or 0, expires, revoked, used)
