"""Passwords for many: only their verifiers are kept, and only for devices that are registered."""

import psycopg

from firmware_protocol.messages import DeviceId
from gateway.broker_verifier import matches
from gateway.core.device import DeviceModel, Kind
from gateway.stores.credentials import put_passwords
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
