"""Riders by a keyed hash, and tokens that were taken back."""

import secrets
from typing import Final

import psycopg
from psycopg import AsyncConnection

from gateway.people import Revocations
from gateway.stores.audit import AuditEntry, append_audit_now
from gateway.stores.instants import unix_ms
from gateway.stores.postgres_link import PostgresLink
from gateway.stores.reading_pool import ReadingPool

_ID_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz234567"
_ID_CHARS: Final = 20

# A token lives for at most a day; an hour more for clocks and leeway.
_REVOCATIONS = """
    select operator_id, subject, issued_before from revocation where revoked_at > now() - interval '25 hours'
"""
_RIDER = b"select person_id from person where operator_id = %s and wechat_hash = %s"
_NEW_RIDER = b"""
    insert into person (person_id, operator_id, wechat_hash) values (%s, %s, %s)
    on conflict (operator_id, wechat_hash) do nothing
"""
_REVOKE = b"""
    insert into revocation (operator_id, subject, issued_before) values (%s, %s, now())
    on conflict (operator_id, subject) do update set issued_before = now(), revoked_at = now()
"""
_ERASE = b"""
    update person set wechat_hash = null, erased_at = now()
    where operator_id = %s and person_id = %s and erased_at is null
"""


class PostgresPeople:
    """What the API asks about people."""

    def __init__(self, pool: ReadingPool, link: PostgresLink) -> None:
        self._pool = pool
        self._link = link

    async def revocations(self) -> Revocations:
        """Those that a token may still be younger than. Raises StoreUnavailable."""
        rows = await self._pool.rows(_REVOCATIONS)
        return {(operator_id, subject): unix_ms(before) for operator_id, subject, before in rows}

    async def rider(self, operator_id: int, wechat_hash: bytes) -> str:
        """The person of this hash, made when it is their first time. Raises StoreUnavailable."""

        async def find_or_make(connection: AsyncConnection) -> str:
            asked = (operator_id, wechat_hash)
            found = await (await connection.execute(_RIDER, asked)).fetchone()
            if found is None:
                await connection.execute(_NEW_RIDER, (draw_person_id(), *asked))
                # Two first logins at once: whoever came second finds the first one's.
                found = await (await connection.execute(_RIDER, asked)).fetchone()
            assert found is not None
            return str(found[0])

        return await self._link.run(find_or_make)


def draw_person_id() -> str:
    """100 random bits."""
    return "".join(secrets.choice(_ID_LETTERS) for _ in range(_ID_CHARS))


def take_back_tokens(
    connection: psycopg.Connection, operator_id: int, subject: str, *, by: str, why: str
) -> None:
    """Every token of the subject issued until now; committed with its row in the audit log."""
    with connection.transaction():
        connection.execute(_REVOKE, (operator_id, subject))
        told = AuditEntry(operator_id, by, "console", "token_revoke", f"person:{subject}", why)
        append_audit_now(connection, told)


def erase_person(
    connection: psycopg.Connection, operator_id: int, person_id: str, *, by: str, why: str
) -> bool:
    """Forgets who the person was and ends their tokens; what remains of them says a random id. False when there is no
    such person any more. Committed with its row in the audit log."""
    with connection.transaction():
        if not connection.execute(_ERASE, (operator_id, person_id)).rowcount:
            return False
        connection.execute(_REVOKE, (operator_id, person_id))
        told = AuditEntry(operator_id, by, "console", "person_erase", f"person:{person_id}", why)
        append_audit_now(connection, told)
    return True
