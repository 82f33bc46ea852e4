"""Incidents as people read them, from a real PostgreSQL."""

import psycopg

from firmware_protocol.messages import DeviceId
from gateway.core.device import DeviceModel, Kind
from gateway.stores.incidents import PostgresIncidents
from gateway.stores.reading_pool import ReadingPool
from gateway.stores.registration import NewDevice, bulk_register

MODEL = DeviceModel("bike", Kind.BIKE, heartbeat_s=60, quiet_after_s=150, lost_after_s=600)


async def test_an_operator_reads_its_own_incidents_newest_first(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        bulk_register(connection, [MODEL], [NewDevice(DeviceId("d1"), "bike")])
        connection.execute("insert into operator (operator_id, name) values (2, 'other')")
        connection.execute(
            "insert into incident (operator_id, device_no, kind, at, command_id, detail)"
            " select case when n = 3 then 2 else 1 end, device_no, 'executed_late',"
            " timestamptz '2026-01-01' + n * interval '1 s', gen_random_uuid(), jsonb_build_object('n', n)"
            " from device, generate_series(1, 5) n order by n"
        )
    pool = ReadingPool(database)
    await pool.open()
    try:
        incidents = PostgresIncidents(pool)
        newest = await incidents.page(1, None, 3)
        assert [row.detail["n"] for row in newest] == [5, 4, 2]
        assert [row.detail["n"] for row in await incidents.page(1, newest[-1].number, 3)] == [1]
        assert [(row.detail["n"], row.device_id) for row in await incidents.page(2, None, 3)] == [(3, "d1")]
    finally:
        await pool.close()
