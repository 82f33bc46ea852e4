"""What the broker verifies devices by, put into the registry for many at a time."""

from collections.abc import Mapping

import psycopg

from gateway.broker_verifier import verifier

_NEW_TABLE = (
    b"create temp table latchkey_new_verifier (device_id text primary key, verifier text) on commit drop"
)
_COPY = b"copy latchkey_new_verifier (device_id, verifier) from stdin"
_SAVE = b"""
    insert into device_credential (device_no, operator_id, verifier)
    select device_no, operator_id, verifier from latchkey_new_verifier join device using (device_id)
    on conflict (device_no) do update set verifier = excluded.verifier, changed_at = clock_timestamp()
"""


def put_passwords(connection: psycopg.Connection, passwords: Mapping[str, str]) -> int:
    """One transaction: device id -> password, of which only the verifier is kept. Returns how many of the devices are
    registered; the others are left out. Raises psycopg.Error."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute(_NEW_TABLE)
        with cursor.copy(_COPY) as copy:
            for device_id, password in passwords.items():
                copy.write_row((device_id, verifier(password)))
        cursor.execute(_SAVE)
        return cursor.rowcount
