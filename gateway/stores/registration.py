"""Devices and models put into the registry, one or a hundred thousand at a time."""

import secrets
from collections.abc import Iterable, Mapping, Sequence

import psycopg
from msgspec import Struct

from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import checked_device_id, shard_of
from gateway.core.device import Crs, DeviceModel, Status

DEFAULT_OPERATOR = 1
"""Whose the devices are where nobody said otherwise."""

MAX_DRAWS = 10
"""Of markers that turn out to be taken: with a million devices one in a thousand is, each time."""

_NEW_TABLE = b"""
    create temp table latchkey_new_device (device_id text primary key, operator_id int, model text, status smallint,
        public_id text, marker int, shard smallint, home_lat_e7 int, home_lon_e7 int) on commit drop
"""
_COPY = b"""
    copy latchkey_new_device (device_id, operator_id, model, status, public_id, marker, shard, home_lat_e7, home_lon_e7)
    from stdin
"""
_INSERT = b"""
    insert into device (device_id, operator_id, model, status, public_id, marker, shard, home_lat_e7, home_lon_e7)
    select device_id, operator_id, model, status, public_id, marker, shard, home_lat_e7, home_lon_e7
    from latchkey_new_device on conflict (device_id) do nothing
"""
_TAKEN_MARKERS = b"""
    select device_id from latchkey_new_device where marker in (select marker from device)
    union
    select device_id from (select device_id, row_number() over (partition by marker) as nth
                           from latchkey_new_device) same where nth > 1
"""
_SAVE_MODEL = b"""
    insert into device_model (model, operator_id, kind, heartbeat_s, quiet_after_s, lost_after_s, battery_low_pct,
        slot_count, auto_register, crs, quirks)
    values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    on conflict (model) do update set kind = excluded.kind, heartbeat_s = excluded.heartbeat_s,
        quiet_after_s = excluded.quiet_after_s, lost_after_s = excluded.lost_after_s,
        battery_low_pct = excluded.battery_low_pct, slot_count = excluded.slot_count,
        auto_register = excluded.auto_register, quirks = excluded.quirks
"""


class NewDevice(Struct, frozen=True):
    """A device to register; its public id and marker are drawn."""

    device_id: DeviceId
    model: str
    operator_id: int = DEFAULT_OPERATOR
    status: Status = Status.ACTIVE
    home_lat_e7: int | None = None
    home_lon_e7: int | None = None


class ModelRefused(Exception):
    """The model cannot be served yet."""

    def __init__(self, model: str, crs: Crs) -> None:
        super().__init__(
            f"model {model!r} reports positions in {crs.name}; only WGS84 is accepted until conversion exists"
        )
        self.model = model
        self.crs = crs


def bulk_register(
    connection: psycopg.Connection,
    models: Iterable[DeviceModel],
    devices: Iterable[NewDevice],
    *,
    operators: Mapping[int, str] | None = None,
) -> int:
    """Registers all in one transaction; models that exist are brought up to date, devices that exist stay as they
    are. Returns how many devices are new. Raises ModelRefused, MalformedTopic for a device id that no topic can
    carry, psycopg.Error (a model or operator that is not registered); then nothing is registered.
    """
    wanted = list(models)
    for model in wanted:
        if model.crs is not Crs.WGS84:
            raise ModelRefused(model.model, model.crs)
    rows = {device.device_id: _copy_row(device) for device in devices}
    with connection.transaction(), connection.cursor() as cursor:
        _save_operators(cursor, operators or {DEFAULT_OPERATOR: "default"})
        cursor.executemany(_SAVE_MODEL, [model_row(model) for model in wanted])
        if not rows:
            return 0
        cursor.execute(_NEW_TABLE)
        with cursor.copy(_COPY) as copy:
            for row in rows.values():
                copy.write_row(row)
        _draw_again(cursor)
        cursor.execute(_INSERT)
        return cursor.rowcount


def model_row(model: DeviceModel) -> tuple[object, ...]:
    """A model as the columns of `device_model`."""
    return (
        model.model,
        DEFAULT_OPERATOR,
        int(model.kind),
        model.heartbeat_s,
        model.quiet_after_s,
        model.lost_after_s,
        model.battery_low_pct,
        model.slot_count,
        model.auto_register,
        int(model.crs),
        [quirk.value for quirk in model.quirks],
    )


def draw_public_id() -> str:
    """72 bits, safe in a URL: nobody finds a device by trying."""
    return secrets.token_urlsafe(9)


def draw_marker() -> int:
    """Nine digits, the first not 0; says nothing about the device."""
    return 100_000_000 + secrets.randbelow(900_000_000)


def _copy_row(device: NewDevice) -> Sequence[object]:
    device_id = checked_device_id(device.device_id)
    return (
        device_id,
        device.operator_id,
        device.model,
        int(device.status),
        draw_public_id(),
        draw_marker(),
        shard_of(device_id),
        device.home_lat_e7,
        device.home_lon_e7,
    )


def _save_operators(cursor: psycopg.Cursor, operators: Mapping[int, str]) -> None:
    names = {DEFAULT_OPERATOR: "default", **operators}
    cursor.executemany(
        "insert into operator (operator_id, name) values (%s, %s) on conflict (operator_id) do nothing",
        list(names.items()),
    )


def _draw_again(cursor: psycopg.Cursor) -> None:
    """New markers for those that are taken; what is left after the last draw fails at the insert."""
    for _ in range(MAX_DRAWS):
        taken = cursor.execute(_TAKEN_MARKERS).fetchall()
        if not taken:
            return
        cursor.executemany(
            "update latchkey_new_device set marker = %s where device_id = %s",
            [(draw_marker(), device_id) for (device_id,) in taken],
        )
