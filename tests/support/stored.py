"""Rows, models and devices for tests of the stores."""

from collections.abc import Sequence
from typing import Any

from msgspec import structs

from firmware_protocol.messages import DeviceId
from gateway.core.device import DeviceModel, Kind
from gateway.ports import HistoryBatch, HistoryRow
from gateway.stores.registration import NewDevice, bulk_register
from tests.support.kept_connection import KEPT

NOW_MS = 1_790_000_000_000
DAY_MS = 86_400_000
BOOT = NOW_MS // 1000 - 3600

BIKE = DeviceModel("bike-1", Kind.BIKE, 30, 75, 600, auto_register=True)
CABINET = DeviceModel("cabinet-6", Kind.CABINET, 60, 150, 1200, slot_count=6)


def a_row(seq: int, **changes: Any) -> HistoryRow:
    """A report of device 1, made and received `seq` ms after NOW_MS unless the changes say otherwise."""
    row = HistoryRow(
        device_no=1,
        boot=BOOT,
        seq=seq,
        at_ms=NOW_MS + seq,
        received_ms=NOW_MS + seq,
        clock_suspect=False,
        kept=False,
        lat_e7=13_000_000,
        lon_e7=1_038_000_000,
        accuracy_m=8.5,
        battery_pct=71,
        bolt=1,
        moving=False,
        units=None,
        spaces=None,
        signal_dbm=-71,
        frame=b"frame %d" % seq,
        operator_id=1,
    )
    return structs.replace(row, **changes)


def fresh(*rows: HistoryRow) -> HistoryBatch:
    """All above everything known."""
    return HistoryBatch(rows, ())


def doubtful(*rows: HistoryRow) -> HistoryBatch:
    """All perhaps stored before."""
    return HistoryBatch((), rows)


def register(dsn: str, *device_ids: str, model: DeviceModel = BIKE) -> None:
    """Devices of one model; the first of a fresh database has device_no 1."""
    with KEPT.to(dsn) as connection, connection.transaction():
        bulk_register(connection, [model], [NewDevice(DeviceId(name), model.model) for name in device_ids])


def ask(dsn: str, sql: str, arguments: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    """The rows of one statement, committed."""
    with KEPT.to(dsn) as connection:
        cursor = connection.execute(sql.encode(), arguments)
        return cursor.fetchall() if cursor.description else []
