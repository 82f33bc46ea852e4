"""Passwords for many: only their verifiers are kept, and only for devices that are registered."""

import psycopg
import pytest

from firmware_protocol.device_key import DeviceKey
from firmware_protocol.messages import DeviceId
from gateway.broker_verifier import matches
from gateway.core.device import DeviceModel, Kind
from gateway.key_wrapping import KeyWrapping, Wrapped, new_key_encryption_key
from gateway.stores.credentials import put_keys, put_passwords
from gateway.stores.registration import NewDevice, bulk_register

MODEL = DeviceModel("m", Kind.BIKE, heartbeat_s=60, quiet_after_s=150, lost_after_s=600)


def test_passwords_are_put_and_replaced(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        bulk_register(connection, [MODEL], [NewDevice(DeviceId(name), "m") for name in ("a", "b")])
        assert put_passwords(connection, {"a": "one", "b": "two", "nobody": "three"}) == 2
        assert put_passwords(connection, {"a": "four"}) == 1
        kept: dict[str, str] = dict(
            connection.execute(
                "select device_id, verifier from device_credential join device using (device_no)"
            ).fetchall()
        )
    assert set(kept) == {"a", "b"}
    assert matches("four", kept["a"])
    assert matches("two", kept["b"])


def test_keys_are_sealed_and_follow_one_another(database: str) -> None:
    wrapping = KeyWrapping.parse(new_key_encryption_key("t"))
    first, second = DeviceKey(1, b"1" * 32), DeviceKey(2, b"2" * 32)
    with psycopg.connect(database, autocommit=True) as connection:
        bulk_register(connection, [MODEL], [NewDevice(DeviceId(name), "m") for name in ("a", "b")])
        assert put_keys(connection, {"a": first, "b": first, "nobody": first}, wrapping) == 2
        assert put_keys(connection, {"a": second}, wrapping) == 1
        with pytest.raises(psycopg.errors.UniqueViolation):
            put_keys(connection, {"a": first}, wrapping)
        good = connection.execute(
            "select device_id, device_no, key_no, wrapped_by, wrapped from device_key"
            " join device using (device_no) where ends_at is null order by device_id"
        ).fetchall()
    opened = {
        name: wrapping.unwrap(Wrapped(by, sealed), device_no=device_no, key_no=key_no)
        for name, device_no, key_no, by, sealed in good
    }
    assert opened == {"a": second, "b": first}
