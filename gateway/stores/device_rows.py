"""Rows of the registry's tables as the values of the core."""

from collections.abc import Sequence
from typing import Any

from firmware_protocol.messages import DeviceId
from gateway.core.device import Crs, DeviceModel, DeviceRecord, Kind, Quirk, Status

DEVICE_COLUMNS = (
    "device_no, device_id, operator_id, model, status, public_id, marker, boot, power_on_id, "
    "home_lat_e7, home_lon_e7, public_id_no"
)
MODEL_COLUMNS = (
    "model, kind, heartbeat_s, quiet_after_s, lost_after_s, battery_low_pct, slot_count, auto_register, crs, "
    "quirks"
)


def device_record(row: Sequence[Any]) -> DeviceRecord:
    """From DEVICE_COLUMNS; more columns may follow."""
    return DeviceRecord(
        device_no=row[0],
        device_id=DeviceId(row[1]),
        operator_id=row[2],
        model=row[3],
        status=Status(row[4]),
        public_id=row[5],
        marker=row[6],
        boot=row[7],
        power_on_id=None if row[8] is None else unsigned(row[8]),
        home_lat_e7=row[9],
        home_lon_e7=row[10],
        public_id_no=row[11],
    )


def device_model(row: Sequence[Any]) -> DeviceModel:
    """From MODEL_COLUMNS."""
    return DeviceModel(
        model=row[0],
        kind=Kind(row[1]),
        heartbeat_s=row[2],
        quiet_after_s=row[3],
        lost_after_s=row[4],
        battery_low_pct=row[5],
        slot_count=row[6],
        auto_register=row[7],
        crs=Crs(row[8]),
        quirks=tuple(map(Quirk, row[9])),
    )


def signed(number: int) -> int:
    """The bigint with the same 64 bits."""
    return number - (1 << 64) if number >> 63 else number


def unsigned(number: int) -> int:
    """The number below 2^64 with the same bits as this bigint."""
    return number & 0xFFFF_FFFF_FFFF_FFFF
