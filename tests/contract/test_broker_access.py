"""What a broker that asks is told is never older than moments."""

from collections.abc import AsyncIterator

import psycopg
import pytest

from firmware_protocol.messages import DeviceId
from gateway.broker_verifier import matches
from gateway.core.device import DeviceModel, Kind, Status
from gateway.stores.broker_access import FRESH_FOR_S, PostgresBrokerAccess
from gateway.stores.credentials import put_passwords
from gateway.stores.reading_pool import ReadingPool
from gateway.stores.registration import NewDevice, bulk_register
from tests.support.fakes.clock import FakeClock

MODEL = DeviceModel("m", Kind.BIKE, heartbeat_s=60, quiet_after_s=150, lost_after_s=600)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[ReadingPool]:
    pool = ReadingPool(database)
    await pool.open()
    yield pool
    await pool.close()


async def test_a_suspension_is_seen_after_moments(database: str, pool: ReadingPool) -> None:
    clock = FakeClock()
    access = PostgresBrokerAccess(pool, clock)
    with psycopg.connect(database, autocommit=True) as connection:
        bulk_register(connection, [MODEL], [NewDevice(DeviceId(name), "m") for name in ("a", "b")])
        put_passwords(connection, {"a": "one"})
        known = await access.of("a")
        assert known is not None
        assert (known.status, known.has_certificate) == (Status.ACTIVE, False)
        assert matches("one", known.verifier)
        assert known.verifier not in repr(known)
        connection.execute("update device set status = 3 where device_id = 'a'")
        clock.advance(ms=int(FRESH_FOR_S * 1000))
        known = await access.of("a")
        assert known is not None
        assert known.status is Status.SUSPENDED


async def test_a_certificate_counts_while_it_stands(database: str, pool: ReadingPool) -> None:
    clock = FakeClock()
    access = PostgresBrokerAccess(pool, clock)
    with psycopg.connect(database, autocommit=True) as connection:
        bulk_register(connection, [MODEL], [NewDevice(DeviceId("a"), "m")])
        for change, stands in (
            ("select 1", False),
            (
                "insert into device_certificate (serial, device_no, operator_id, not_before, not_after)"
                " select 'ab', device_no, 1, now(), now() + interval '1 day' from device",
                True,
            ),
            ("update device_certificate set revoked_at = now()", False),
        ):
            connection.execute(change.encode())
            clock.advance(ms=int(FRESH_FOR_S * 1000))
            known = await access.of("a")
            assert known is not None
            assert known.has_certificate is stands
            assert known.verifier == ""


async def test_nobody_is_nobody(database: str, pool: ReadingPool) -> None:
    assert await PostgresBrokerAccess(pool, FakeClock()).of("nobody") is None


@pytest.mark.parametrize("name", ["", "a\0", "\0", "ü", "\ud800", "x" * 33, "lk-gateway"])
async def test_a_name_that_no_device_can_have_is_nobodys(database: str, pool: ReadingPool, name: str) -> None:
    """A broker hands on whatever a client said; PostgreSQL takes no NUL in a text."""
    assert await PostgresBrokerAccess(pool, FakeClock()).of(name) is None
