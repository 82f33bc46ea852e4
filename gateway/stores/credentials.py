"""What the broker verifies devices by and what they sign with, put into the registry for many at a time."""

from collections.abc import Mapping

import psycopg

from firmware_protocol.device_key import DeviceKey
from gateway.broker_verifier import verifier
from gateway.key_wrapping import KeyWrapping

_NEW_TABLE = (
    b"create temp table latchkey_new_verifier (device_id text primary key, verifier text) on commit drop"
)
_COPY = b"copy latchkey_new_verifier (device_id, verifier) from stdin"
_SAVE = b"""
    insert into device_credential (device_no, operator_id, verifier)
    select device_no, operator_id, verifier from latchkey_new_verifier join device using (device_id)
    on conflict (device_no) do update set verifier = excluded.verifier, changed_at = clock_timestamp()
"""

_NUMBERS = b"select device_id, device_no, operator_id from device where device_id = any(%s)"
_END_KEYS = b"""
    update device_key set ends_at = clock_timestamp()
    where device_no = any(%s) and (ends_at is null or ends_at > clock_timestamp())
"""
_COPY_KEYS = b"copy device_key (device_no, key_no, operator_id, wrapped_by, wrapped) from stdin"


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


def put_keys(connection: psycopg.Connection, keys: Mapping[str, DeviceKey], wrapping: KeyWrapping) -> int:
    """One transaction: device id -> its only key from now on, sealed. Returns how many of the devices are registered;
    the others are left out. Raises psycopg.Error, also where the key's number was used before."""
    with connection.transaction(), connection.cursor() as cursor:
        found = cursor.execute(_NUMBERS, [list(keys)]).fetchall()
        cursor.execute(_END_KEYS, [[device_no for _, device_no, _ in found]])
        with cursor.copy(_COPY_KEYS) as copy:
            for device_id, device_no, operator_id in found:
                wrapped = wrapping.wrap(keys[device_id], device_no=device_no)
                copy.write_row((device_no, keys[device_id].number, operator_id, wrapped.by, wrapped.sealed))
        return len(found)
