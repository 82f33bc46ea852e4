"""Every change of a device is one transaction with its line in the audit log."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from firmware_protocol.device_key import DeviceKey
from firmware_protocol.messages import DeviceId
from gateway.broker_verifier import matches
from gateway.clock import SystemClock
from gateway.core.device import DeviceModel, Kind, Status
from gateway.core.device_life import LifeStep, StepRefused
from gateway.key_wrapping import KeyWrapping, new_key_encryption_key
from gateway.stores.device_identity import By, PostgresDeviceIdentity, RetiredDevice, UnknownDevice
from gateway.stores.device_keys import PostgresDeviceKeys
from gateway.stores.postgres_link import PostgresLink
from gateway.stores.registration import NewDevice, bulk_register
from tests.support.fakes.clock import FakeClock

MODEL = DeviceModel("life-bike", Kind.BIKE, heartbeat_s=60, quiet_after_s=150, lost_after_s=600)
OLD, NEW = new_key_encryption_key("old"), new_key_encryption_key("new")
BY = By("console:anna", "console", "lost in the river")


@pytest.fixture
async def link(database: str) -> AsyncIterator[PostgresLink]:
    with psycopg.connect(database) as connection:
        bulk_register(connection, [MODEL], [NewDevice(DeviceId("bike-1"), MODEL.model)])
    link = PostgresLink(database, name="identity")
    yield link
    await link.close()


@pytest.fixture
def identity(link: PostgresLink) -> PostgresDeviceIdentity:
    return PostgresDeviceIdentity(link, KeyWrapping.parse(OLD))


def rows(dsn: str, sql: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(sql.encode()).fetchall()


async def test_a_step_says_who_why_and_what_changed(database: str, identity: PostgresDeviceIdentity) -> None:
    assert await identity.step("bike-1", LifeStep.SUSPEND, BY) is Status.SUSPENDED
    assert rows(database, "select actor, action, subject, why, before, after from audit") == [
        (
            "console:anna",
            "device_suspend",
            "device:bike-1",
            "lost in the river",
            {"status": "active"},
            {"status": "suspended"},
        )
    ]


async def test_a_refused_step_changes_nothing_and_says_nothing(
    database: str, identity: PostgresDeviceIdentity
) -> None:
    with pytest.raises(StepRefused):
        await identity.step("bike-1", LifeStep.RESUME, BY)
    with pytest.raises(UnknownDevice):
        await identity.step("bike-2", LifeStep.SUSPEND, BY)
    assert rows(database, "select status from device") == [(Status.ACTIVE,)]
    assert rows(database, "select 1 from audit") == []


async def test_only_a_verifier_of_the_password_is_kept(
    database: str, identity: PostgresDeviceIdentity
) -> None:
    password = await identity.change_password("bike-1", BY)
    ((kept,),) = rows(database, "select verifier from device_credential")
    assert matches(password, str(kept))
    again = await identity.change_password("bike-1", BY, password="mine")
    assert again == "mine"
    ((kept,),) = rows(database, "select verifier from device_credential")
    assert matches("mine", str(kept))
    assert not matches(password, str(kept))
    logged = str(rows(database, "select * from audit"))
    assert password not in logged
    assert "mine" not in logged
    assert "$7$" not in logged


async def test_a_new_key_signs_and_the_old_one_ends_after_the_overlap(
    database: str, identity: PostgresDeviceIdentity
) -> None:
    first = await identity.change_key("bike-1", BY)
    second = await identity.change_key("bike-1", BY, overlap_s=5)
    assert (first.number, second.number) == (1, 2)
    assert first.secret != second.secret
    ((old, new),) = rows(
        database,
        "select array_agg(extract(epoch from ends_at - changed_at)::float8) filter (where key_no = 1),"
        " count(*) filter (where key_no = 2 and ends_at is null) from device_key",
    )
    assert isinstance(old, list)
    assert 4.9 < old[0] < 5.1
    assert new == 1


async def test_after_the_overlap_the_old_key_verifies_nothing(
    database: str, identity: PostgresDeviceIdentity
) -> None:
    keys = PostgresDeviceKeys(database, KeyWrapping.parse(OLD), SystemClock())
    ((device_no,),) = rows(database, "select device_no from device")
    assert isinstance(device_no, int)
    old = await identity.change_key("bike-1", BY)
    assert (await keys.load([device_no]))[device_no] == [old]
    new = await identity.change_key("bike-1", BY, overlap_s=2)
    await keys.refresh()
    assert (await keys.load([device_no]))[device_no] == [new, old]

    async def known() -> list[DeviceKey]:
        return list((await keys.load([device_no]))[device_no])

    # Without another look at the database.
    while await known() != [new]:
        await asyncio.sleep(0.05)
    await keys.close()


async def test_an_overlap_never_grows_by_a_later_rotation(
    database: str, identity: PostgresDeviceIdentity
) -> None:
    await identity.change_key("bike-1", BY)
    await identity.change_key("bike-1", BY, overlap_s=5)
    await identity.change_key("bike-1", BY, overlap_s=3_600)
    ((left,),) = rows(
        database, "select extract(epoch from ends_at - now())::float8 from device_key where key_no = 1"
    )
    assert isinstance(left, float)
    assert left < 5.1, "the first key ends when it was said to end"


async def test_a_retired_device_has_no_key_no_password_and_gets_none(
    database: str, identity: PostgresDeviceIdentity
) -> None:
    await identity.change_password("bike-1", BY)
    await identity.change_key("bike-1", BY)
    keys = PostgresDeviceKeys(database, KeyWrapping.parse(OLD), FakeClock())
    ((device_no,),) = rows(database, "select device_no from device")
    assert isinstance(device_no, int)
    assert await keys.load([device_no])
    await identity.step("bike-1", LifeStep.RETIRE, BY)
    await keys.refresh()
    assert await keys.load([device_no]) == {}
    await keys.close()
    assert rows(database, "select 1 from device_credential") == []
    for change in (identity.change_password, identity.change_key):
        with pytest.raises(RetiredDevice):
            await change("bike-1", BY)


async def test_every_key_is_sealed_anew_and_stays_the_same(
    database: str, link: PostgresLink, identity: PostgresDeviceIdentity
) -> None:
    key = await identity.change_key("bike-1", BY)
    both = KeyWrapping.parse(f"{NEW},{OLD}")
    assert await PostgresDeviceIdentity(link, both).rewrap() == 1
    assert await PostgresDeviceIdentity(link, both).rewrap() == 0
    keys = PostgresDeviceKeys(database, KeyWrapping.parse(NEW), FakeClock())
    ((device_no,),) = rows(database, "select device_no from device")
    assert isinstance(device_no, int)
    assert await keys.load([device_no]) == {device_no: [key]}
    await keys.close()


async def test_gateways_hear_of_every_change(database: str, identity: PostgresDeviceIdentity) -> None:
    with psycopg.connect(database, autocommit=True) as listener:
        listener.execute("listen lk_devices")
        for change in (
            identity.step("bike-1", LifeStep.SUSPEND, BY),
            identity.change_password("bike-1", BY),
            identity.change_key("bike-1", BY),
        ):
            await change
            assert len(list(listener.notifies(timeout=10, stop_after=1))) == 1
