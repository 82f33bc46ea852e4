"""The demo's servers made ready for its fleet: schema, registry, device passwords."""

from dataclasses import dataclass

import psycopg
import redis

from cli.stack import Stack
from device_sim.fleet import Fleet, FleetModel
from device_sim.profiles import Level
from firmware_protocol.messages import DeviceId
from gateway.core.device import DeviceModel, Kind
from gateway.stores.credentials import put_passwords
from gateway.stores.migrate import migrate
from gateway.stores.registration import NewDevice, bulk_register

DATABASE = "demo"
HAND_DEVICE = DeviceId("by-hand-1")
"""A device for the person who watches: it reports when they type."""
HAND_PASSWORD = "by-hand"
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
    """Public ids of the devices whose reports carry our own clock: only theirs can be timed to the millisecond."""


def prepare(stack: Stack, fleet: Fleet) -> Prepared:
    """An empty Redis, a fresh database, and the fleet known to registry and broker."""
    stack.postgres.drop_database(stack.postgres.dsn(DATABASE))
    dsn = stack.postgres.ensure_database(DATABASE)
    with redis.Redis.from_url(stack.redis.url()) as client:
        client.flushall()
    line = migrate(dsn, "require" if stack.postgres.timescale else "off").line
    devices = fleet.devices()
    new = [
        NewDevice(
            device.device_id, device.model, home_lat_e7=device.home_lat_e7, home_lon_e7=device.home_lon_e7
        )
        for device in devices
    ]
    models = [*map(model_of, fleet.models()), HAND_MODEL]
    with psycopg.connect(dsn) as connection:
        bulk_register(connection, models, [*new, NewDevice(HAND_DEVICE, HAND_MODEL.model)])
        timed = _public_ids(connection, _basic_devices(fleet))
        passwords = {str(device.device_id): device.password for device in devices}
        put_passwords(connection, passwords | {str(HAND_DEVICE): HAND_PASSWORD})
    return Prepared(dsn, line, timed)


def _basic_devices(fleet: Fleet) -> list[str]:
    """Full devices count from their boot instead, whose instant they know only as well as the network is fast."""
    named = zip(fleet.device_ids, fleet.profiles, strict=True)
    return [str(device_id) for device_id, profile in named if profile.level is Level.BASIC]


def _public_ids(connection: psycopg.Connection, devices: list[str]) -> frozenset[str]:
    rows = connection.execute("select public_id from device where device_id = any(%s)", [devices])
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
    )
