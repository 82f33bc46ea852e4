"""The demo's servers made ready for its fleet: schema, registry, device passwords and keys."""

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg
import redis

from cli.stack import Stack
from device_sim.fleet import Fleet, FleetDevice, FleetModel
from device_sim.profiles import Level
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.messages import DeviceId
from gateway.core.device import DeviceModel, Kind, Quirk
from gateway.key_wrapping import KeyWrapping
from gateway.stores.bulk_import import import_chunk
from gateway.stores.credentials import put_passwords
from gateway.stores.device_identity import By
from gateway.stores.migrate import migrate
from gateway.stores.registration import NewDevice, bulk_register

DATABASE = "demo"
HAND_DEVICE = DeviceId("by-hand-1")
"""A device for the person who watches: it reports when they type."""
HAND_PASSWORD = "by-hand"
BY = By("system:demo", "system")
HAND_MODEL = DeviceModel(
    model="by_hand_bike", kind=Kind.BIKE, heartbeat_s=600, quiet_after_s=1_500, lost_after_s=6_000
)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Servers that know the fleet."""

    dsn: str
    history_line: str
    """Which kind of history this is."""
    timed: frozenset[str]
    """The devices whose reports carry our own clock: only theirs can be timed to the millisecond."""
    keys: Mapping[DeviceId, DeviceKey]
    """Of every device that can verify commands."""


def prepare(stack: Stack, fleet: Fleet) -> Prepared:
    """An empty Redis, a fresh database, and the fleet known to registry and broker."""
    stack.postgres.drop_database(stack.postgres.dsn(DATABASE))
    dsn = stack.postgres.ensure_database(DATABASE)
    with redis.Redis.from_url(stack.redis.url()) as client:
        client.flushall()
    line = migrate(dsn, stack.timescale).line
    models = [*map(model_of, fleet.models()), HAND_MODEL]
    with psycopg.connect(dsn) as connection:
        bulk_register(connection, models, [NewDevice(HAND_DEVICE, HAND_MODEL.model)])
        put_passwords(connection, {HAND_DEVICE: HAND_PASSWORD})
        keys = register_fleet(connection, fleet, KeyWrapping.from_environment(stack.environment(dsn=dsn)))
    return Prepared(dsn, line, frozenset(_basic_devices(fleet)), keys)


def register_fleet(
    connection: psycopg.Connection, fleet: Fleet, wrapping: KeyWrapping
) -> dict[DeviceId, DeviceKey]:
    """Puts the devices, whose models are registered, into registry and password list; the keys of those that have
    one."""
    basic = set(_basic_devices(fleet))
    keyed = [device for device in fleet.devices() if device.device_id not in basic]
    plain = [device for device in fleet.devices() if device.device_id in basic]
    keys: dict[DeviceId, DeviceKey] = {}
    for devices, with_keys in ((keyed, True), (plain, False)):
        made = import_chunk(
            connection,
            [_as_new(device) for device in devices],
            wrapping,
            BY,
            passwords=[device.password for device in devices],
            with_keys=with_keys,
        )
        keys |= {one.device_id: one.key for one in made if one.key is not None}
    return keys


def _as_new(device: FleetDevice) -> NewDevice:
    return NewDevice(
        device.device_id, device.model, home_lat_e7=device.home_lat_e7, home_lon_e7=device.home_lon_e7
    )


def _basic_devices(fleet: Fleet) -> list[str]:
    """Full devices count from their boot instead, whose instant they know only as well as the network is fast."""
    named = zip(fleet.device_ids, fleet.profiles, strict=True)
    return [str(device_id) for device_id, profile in named if profile.level is Level.BASIC]


def public_ids(dsn: str, devices: frozenset[str]) -> frozenset[str]:
    """Those of this moment: a bike that is used gets another."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        rows = connection.execute("select public_id from device where device_id = any(%s)", [list(devices)])
        return frozenset(str(public_id) for (public_id,) in rows)


def model_of(model: FleetModel) -> DeviceModel:
    """A simulated model as the registry keeps it."""
    return DeviceModel(
        model=model.model,
        kind=Kind[model.kind.upper()],
        heartbeat_s=model.heartbeat_s,
        quiet_after_s=model.quiet_after_s,
        lost_after_s=model.lost_after_s,
        battery_low_pct=model.battery_low_pct,
        slot_count=model.slot_count,
        quirks=tuple(map(Quirk, model.quirks)),
    )
