"""Rows of the registry become values of the core without loss."""

import psycopg
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from firmware_protocol.messages import DeviceId
from gateway.core.device import DeviceRecord, Quirk, Status
from gateway.stores.device_rows import (
    DEVICE_COLUMNS,
    MODEL_COLUMNS,
    device_model,
    device_record,
    signed,
    unsigned,
)
from gateway.stores.registration import NewDevice, bulk_register
from tests.support.stored import BIKE, CABINET, ask


@given(st.integers(0, 2**64 - 1))
def test_64_bits_survive_a_bigint(number: int) -> None:
    assert -(2**63) <= signed(number) < 2**63
    assert unsigned(signed(number)) == number


def test_models_come_back_as_they_were_registered(database: str) -> None:
    with psycopg.connect(database) as connection:
        bulk_register(connection, [BIKE, CABINET], [])
        quirky = structs.replace(CABINET, quirks=tuple(Quirk))
        bulk_register(connection, [quirky], [])
    rows = ask(database, f"select {MODEL_COLUMNS} from device_model order by model")
    assert [device_model(row) for row in rows] == [BIKE, quirky]


def test_a_device_comes_back_with_its_home_and_status(database: str) -> None:
    home = NewDevice(DeviceId("c-1"), "cabinet-6", status=Status.REGISTERED, home_lat_e7=-5, home_lon_e7=7)
    with psycopg.connect(database) as connection:
        bulk_register(connection, [CABINET], [home])
    (row,) = ask(database, f"select {DEVICE_COLUMNS} from device")
    record = device_record(row)
    assert isinstance(record, DeviceRecord)
    assert (record.device_id, record.status, record.home_lat_e7, record.home_lon_e7) == (
        "c-1",
        Status.REGISTERED,
        -5,
        7,
    )
    assert (record.boot, record.power_on_id) == (0, None)
