"""A code is good once, whoever tries it at the same time, and a device is made whole or not at all."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import psycopg
import pytest

from firmware_protocol.errors import MalformedTopic
from firmware_protocol.messages import DeviceId
from gateway.broker_verifier import matches
from gateway.core.device import DeviceModel, Kind, Status
from gateway.enrolment_port import CodeRefused, DeviceTaken, Enrolled
from gateway.key_wrapping import KeyWrapping, new_key_encryption_key
from gateway.stores.device_identity import By
from gateway.stores.enrolment import PostgresEnrolment, UnknownModel, draw_code
from gateway.stores.postgres_link import PostgresLink
from gateway.stores.registration import NewDevice, bulk_register

MODEL = DeviceModel("m", Kind.BIKE, heartbeat_s=60, quiet_after_s=150, lost_after_s=600)
OTHER = DeviceModel("n", Kind.BIKE, heartbeat_s=60, quiet_after_s=150, lost_after_s=600)
WRAPPING = KeyWrapping.parse(new_key_encryption_key("t"))
BY = By("console:test", "console")
DAY = timedelta(days=1)


def rows(dsn: str, sql: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(sql.encode()).fetchall()


@pytest.fixture
async def enrolment(database: str) -> AsyncIterator[PostgresEnrolment]:
    with psycopg.connect(database) as connection:
        bulk_register(connection, [MODEL, OTHER], [])
    link = PostgresLink(database, name="enrolment")
    yield PostgresEnrolment(link, WRAPPING)
    await link.close()


async def code(enrolment: PostgresEnrolment, *, lasts: timedelta = DAY) -> str:
    (made,) = await enrolment.make_codes("m", BY, count=1, lasts=lasts, operator_id=1)
    return made


async def test_a_device_is_made_with_all_it_needs(database: str, enrolment: PostgresEnrolment) -> None:
    made = await enrolment.enrol(await code(enrolment), "bike-1")
    assert (made.device_id, made.model, made.key.number) == ("bike-1", "m", 1)
    assert made.password not in repr(made)
    ((status, kept, by, actions),) = rows(
        database,
        "select status, verifier, (select actor from audit where action = 'device_enrol'),"
        " (select array_agg(action order by audit_no) from audit)"
        " from device join device_credential using (device_no) join device_key using (device_no)"
        " join enrolment_code using (device_no)",
    )
    assert status == Status.ACTIVE
    assert matches(made.password, str(kept))
    assert (by, actions) == ("device:bike-1", ["code_create", "device_enrol"])


async def test_a_code_is_good_once(enrolment: PostgresEnrolment) -> None:
    given = await code(enrolment)
    await enrolment.enrol(given)
    for again in (given, given.lower().replace("-", ""), draw_code(), "", "x"):
        with pytest.raises(CodeRefused):
            await enrolment.enrol(again)


async def test_a_code_is_read_however_it_was_typed(enrolment: PostgresEnrolment) -> None:
    given = await code(enrolment)
    made = await enrolment.enrol(given.lower().replace("-", " ").replace("0", "o").replace("1", "l"))
    assert made.device_id.startswith("d-")


async def test_of_many_who_try_one_code_at_once_one_enters(database: str) -> None:
    with psycopg.connect(database) as connection:
        bulk_register(connection, [MODEL], [])
    links = [PostgresLink(database, name=f"e{n}") for n in range(8)]
    given = await code(PostgresEnrolment(links[0], WRAPPING))
    outcomes = await asyncio.gather(
        *(PostgresEnrolment(link, WRAPPING).enrol(given, f"d-{n}") for n, link in enumerate(links)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, Enrolled) for one in outcomes) == 1
    assert sum(isinstance(one, CodeRefused) for one in outcomes) == 7
    assert rows(database, "select count(*) from device") == [(1,)]
    for link in links:
        await link.close()


async def test_an_expired_code_is_refused(enrolment: PostgresEnrolment) -> None:
    with pytest.raises(CodeRefused):
        await enrolment.enrol(await code(enrolment, lasts=timedelta(seconds=-1)))


async def test_codes_that_nobody_used_are_forgotten_a_month_later(
    database: str, enrolment: PostgresEnrolment
) -> None:
    await code(enrolment, lasts=timedelta(days=-31))
    await code(enrolment, lasts=timedelta(days=-29))
    await code(enrolment)
    assert rows(database, "select count(*) from enrolment_code") == [(2,)]


async def test_a_device_in_service_is_taken_and_the_code_stays_good(
    database: str, enrolment: PostgresEnrolment
) -> None:
    with psycopg.connect(database) as connection:
        devices = [
            NewDevice(DeviceId("active"), "m"),
            NewDevice(DeviceId("waits"), "m", status=Status.REGISTERED),
            NewDevice(DeviceId("other-model"), "n", status=Status.REGISTERED),
            NewDevice(DeviceId("suspended"), "m", status=Status.SUSPENDED),
        ]
        bulk_register(connection, [], devices)
    given = await code(enrolment)
    for name in ("active", "other-model", "suspended"):
        with pytest.raises(DeviceTaken):
            await enrolment.enrol(given, name)
    with pytest.raises(MalformedTopic):
        await enrolment.enrol(given, "lk-mine")
    assert (await enrolment.enrol(given, "waits")).device_id == "waits"
    assert rows(database, "select status from device where device_id = 'waits'") == [(Status.ACTIVE,)]


async def test_codes_for_a_model_nobody_knows_are_not_made(enrolment: PostgresEnrolment) -> None:
    with pytest.raises(UnknownModel):
        await enrolment.make_codes("unheard_of", BY, count=1, lasts=DAY, operator_id=1)


async def test_no_code_is_kept(database: str, enrolment: PostgresEnrolment) -> None:
    codes = await enrolment.make_codes("m", BY, count=50, lasts=DAY, operator_id=1)
    assert len(set(codes)) == 50
    kept = str(rows(database, "select * from enrolment_code")) + str(rows(database, "select * from audit"))
    assert not [one for one in codes if one in kept or one.replace("-", "") in kept]
