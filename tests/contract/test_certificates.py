"""Certificates are known by their serials, and each list follows on the last."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from firmware_protocol.messages import DeviceId
from gateway.core.device import DeviceModel, Kind, Status
from gateway.stores.certificates import (
    hex_serial,
    next_list,
    note_certificate,
    revoke_certificates,
    save_list,
)
from gateway.stores.device_identity import By, RetiredDevice, UnknownDevice
from gateway.stores.registration import NewDevice, bulk_register

MODEL = DeviceModel("m", Kind.BIKE, heartbeat_s=60, quiet_after_s=150, lost_after_s=600)
BY = By("console:test", "console")
NOW = datetime.now(UTC)


def note(connection: psycopg.Connection, name: str, serial: int, *, lasts: timedelta) -> None:
    note_certificate(connection, name, BY, serial=serial, not_before=NOW, not_after=NOW + lasts)


def test_a_list_holds_what_was_revoked_and_is_not_over(database: str) -> None:
    day = timedelta(days=1)
    with psycopg.connect(database, autocommit=True) as connection:
        bulk_register(connection, [MODEL], [NewDevice(DeviceId(name), "m") for name in ("a", "b")])
        for name, serial, lasts in (("a", 10, day), ("a", 2**159, day), ("b", 12, day), ("a", 13, -day)):
            note(connection, name, serial, lasts=lasts)
        assert sorted(revoke_certificates(connection, "a", BY)) == sorted(map(hex_serial, (10, 2**159, 13)))
        assert revoke_certificates(connection, "a", BY) == []
        with connection.transaction():
            number, revoked = next_list(connection)
            save_list(connection, number, "first")
        assert number == 1
        assert {one.serial for one in revoked} == {10, 2**159}
        assert revoke_certificates(connection, "b", BY, serial="0C") == ["c"]
        with connection.transaction():
            assert next_list(connection)[0] == 2


def test_who_is_unknown_or_retired_gets_none(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        gone = NewDevice(DeviceId("gone"), "m", status=Status.RETIRED)
        bulk_register(connection, [MODEL], [gone])
        with pytest.raises(UnknownDevice):
            note(connection, "nobody", 1, lasts=timedelta(days=1))
        with pytest.raises(RetiredDevice):
            note(connection, "gone", 1, lasts=timedelta(days=1))
        assert revoke_certificates(connection, "gone", BY) == []
