"""What the registry knows of a device and of its model."""

from enum import IntEnum, StrEnum

from msgspec import Struct

from firmware_protocol.messages import DeviceId


class Kind(IntEnum):
    """What is shared."""

    BIKE = 1
    CABINET = 2
    LOCKER = 3


class Status(IntEnum):
    """Where a device is in its life; only an ACTIVE one is listened to."""

    REGISTERED = 1
    ACTIVE = 2
    SUSPENDED = 3
    RETIRED = 4


class Crs(IntEnum):
    """The coordinate system a model reports in; only WGS-84 is accepted until conversion exists."""

    WGS84 = 1
    GCJ02 = 2
    BD09 = 3


class Quirk(StrEnum):
    """What the hardware of a model does wrong, so that the gateway takes care."""

    IGNORES_TTL = "ignores_ttl"
    """Executes expired commands: a one-shot only right after it answered a probe."""
    NO_CORRELATION = "no_correlation"
    """Its acks do not name the command: one command at a time, matched by slot."""
    DUP_UNSAFE = "dup_unsafe"
    """Executes a repeated command again: a one-shot frame is sent once."""


class DeviceModel(Struct, frozen=True):
    """What all devices of one model share."""

    model: str
    kind: Kind
    heartbeat_s: int
    quiet_after_s: int
    """Silence after which a device is QUIET: two and a half heartbeats unless the model says otherwise."""
    lost_after_s: int
    """Silence after which a device is LOST and leaves the map."""
    battery_low_pct: int = 15
    slot_count: int = 0
    auto_register: bool = False
    """A hello of an unknown device of this model registers it."""
    crs: Crs = Crs.WGS84
    quirks: tuple[Quirk, ...] = ()


class DeviceRecord(Struct, frozen=True, gc=False):
    """One device as the registry has it."""

    device_no: int
    """The registry's number: short keys in history."""
    device_id: DeviceId
    operator_id: int
    model: str
    status: Status
    public_id: str
    """What riders see instead of the device id."""
    marker: int
    """A 9-digit number for map widgets that want one."""
    boot: int = 0
    """The newest boot number given to this device; 0 before its first hello."""
    power_on_id: int | None = None
    home_lat_e7: int | None = None
    home_lon_e7: int | None = None
    """Where a cabinet or locker stands: used while its reports carry no fix."""
    public_id_no: int = 1
    """How many public ids the device has had, this one included."""
