"""Keys come unwrapped, newest first, and change within a look."""

from collections.abc import AsyncIterator
from datetime import timedelta

import psycopg
import pytest

from firmware_protocol.device_key import DeviceKey
from firmware_protocol.messages import DeviceId
from gateway.core.device import DeviceModel, Kind
from gateway.key_wrapping import KeyWrapping, new_key_encryption_key
from gateway.stores.device_keys import PostgresDeviceKeys
from gateway.stores.registration import NewDevice, bulk_register
from tests.support.fakes.clock import FakeClock

MODEL = DeviceModel("key-bike", Kind.BIKE, heartbeat_s=60, quiet_after_s=150, lost_after_s=600)
WRAPPING = KeyWrapping.parse(new_key_encryption_key("k1"))


@pytest.fixture
def devices(database: str) -> list[int]:
    """Numbers of three devices."""
    with psycopg.connect(database) as connection:
        bulk_register(connection, [MODEL], [NewDevice(DeviceId(f"k-{n}"), MODEL.model) for n in range(3)])
        return [row[0] for row in connection.execute("select device_no from device order by device_id")]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def keys(database: str, clock: FakeClock) -> AsyncIterator[PostgresDeviceKeys]:
    store = PostgresDeviceKeys(database, WRAPPING, clock)
    yield store
    await store.close()


def put(dsn: str, device_no: int, key: DeviceKey, *, ends_at: str | None = None) -> None:
    wrapped = WRAPPING.wrap(key, device_no=device_no)
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "update device_key set ends_at = now() + interval '1 hour' where device_no = %s and ends_at is null",
            [device_no],
        )
        connection.execute(
            "insert into device_key (device_no, key_no, operator_id, wrapped_by, wrapped, ends_at)"
            " values (%s, %s, 1, %s, %s, %s)",
            [device_no, key.number, wrapped.by, wrapped.sealed, ends_at],
        )


def key(number: int) -> DeviceKey:
    return DeviceKey(number, bytes([number]) * 32)


async def test_a_device_without_a_key_is_missing(
    database: str, devices: list[int], keys: PostgresDeviceKeys
) -> None:
    put(database, devices[0], key(1))
    assert await keys.load([*devices, 999_999]) == {devices[0]: [key(1)]}


async def test_a_rotation_puts_the_new_key_first_and_the_old_one_ends(
    database: str, devices: list[int], keys: PostgresDeviceKeys, clock: FakeClock
) -> None:
    put(database, devices[0], key(1))
    assert await keys.load(devices[:1]) == {devices[0]: [key(1)]}
    put(database, devices[0], key(2))
    await keys.refresh()
    with psycopg.connect(database) as connection:
        row = connection.execute("select ends_at from device_key where key_no = 1").fetchone()
    assert row is not None
    before_its_end_ms = int((row[0] - timedelta(seconds=1)).timestamp() * 1000)
    clock.advance(ms=before_its_end_ms - clock.now_ms())
    assert await keys.load(devices[:1]) == {devices[0]: [key(2), key(1)]}
    clock.advance(ms=1_001)
    assert await keys.load(devices[:1]) == {devices[0]: [key(2)]}, "an ended key verifies nothing"


async def test_memory_answers_until_a_look_finds_a_change(
    database: str, devices: list[int], keys: PostgresDeviceKeys
) -> None:
    assert await keys.load(devices[:1]) == {}
    put(database, devices[0], key(1))
    assert await keys.load(devices[:1]) == {}, "remembered to have none"
    await keys.refresh()
    assert await keys.load(devices[:1]) == {devices[0]: [key(1)]}


async def test_a_change_is_read_again_once_and_not_at_every_look(
    database: str, devices: list[int], keys: PostgresDeviceKeys
) -> None:
    put(database, devices[0], key(1))
    await keys.refresh()
    assert await keys.load(devices[:1]) == {devices[0]: [key(1)]}
    with psycopg.connect(database) as connection:
        # Whoever asks for it from here on fails.
        connection.execute("alter table device_key rename column wrapped to out_of_reach")
    await keys.refresh()
    assert await keys.load(devices[:1]) == {devices[0]: [key(1)]}


async def test_a_key_that_cannot_be_unwrapped_costs_only_its_device(
    database: str, devices: list[int], keys: PostgresDeviceKeys
) -> None:
    for device_no in devices[:2]:
        put(database, device_no, key(1))
    with psycopg.connect(database) as connection:
        connection.execute(
            "update device_key set wrapped = (select wrapped from device_key where device_no = %s)"
            " where device_no = %s",
            [devices[1], devices[0]],
        )
    assert await keys.load(devices) == {devices[1]: [key(1)]}


async def test_keys_sealed_by_someone_elses_key_are_counted(
    database: str, devices: list[int], keys: PostgresDeviceKeys
) -> None:
    put(database, devices[0], key(1))
    assert await keys.unknown_wrappings() == {}
    with psycopg.connect(database) as connection:
        connection.execute("update device_key set wrapped_by = 'older'")
    assert await keys.unknown_wrappings() == {"older": 1}


async def test_no_row_shows_a_key(database: str, devices: list[int]) -> None:
    secret = DeviceKey(1, b"canary-canary-canary-canary-0001")
    put(database, devices[0], secret)
    with psycopg.connect(database) as connection:
        row = connection.execute("select wrapped from device_key").fetchone()
    assert row is not None
    assert secret.secret not in bytes(row[0])


async def test_what_was_read_before_the_first_look_is_read_again_after_it(
    database: str, devices: list[int], keys: PostgresDeviceKeys
) -> None:
    """However long the first look took: the key may have changed before what the look reaches back to."""
    put(database, devices[0], key(1))
    assert [one.number for one in (await keys.load(devices))[devices[0]]] == [1]
    put(database, devices[0], key(2))
    with psycopg.connect(database) as connection:
        connection.execute("alter table device_key disable trigger device_key_changed")
        connection.execute("update device_key set changed_at = now() - interval '1 hour'")
    await keys.refresh()
    assert [one.number for one in (await keys.load(devices))[devices[0]]] == [2, 1]
