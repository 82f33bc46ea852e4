"""What the HTTP API answers: shapes, units and examples."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

KindName = Literal["bike", "cabinet", "locker"]
PresenceName = Literal["online", "quiet", "lost"]
BoltName = Literal["open", "closed", "between"]
Lat = Field(ge=-90, le=90, description="WGS-84 latitude, degrees", examples=[31.2304])
Lon = Field(ge=-180, le=180, description="WGS-84 longitude, degrees", examples=[121.4737])

MAP_DEVICE_EXAMPLE: dict[str, Any] = {
    "id": "k7Qm2xVb",
    "marker": 482913077,
    "kind": "bike",
    "lat": 31.2304,
    "lon": 121.4737,
    "available": False,
    "reasons": [{"reason": "low_battery", "since": 1760000000000}],
    "battery_pct": 11,
    "units": 0,
    "spaces": 0,
    "at": 1760000123456,
}


DEVICE_EXAMPLE: dict[str, Any] = {
    "id": "bike-000017",
    "public_id": "k7Qm2xVb",
    "marker": 482913077,
    "kind": "bike",
    "model": "city-bike",
    "operator_id": 1,
    "presence": "online",
    "heard_at": "2025-10-09T08:53:21Z",
    "revision": 41,
    "stamp": {"boot": 1760000000, "seq": 112},
    "at": "2025-10-09T08:53:20Z",
    "position": {"lat": 31.2304, "lon": 121.4737, "accuracy_m": 8.5, "fixed_at": "2025-10-09T08:53:18Z"},
    "battery_pct": 11,
    "charging": False,
    "moving": False,
    "lock": {"bolt": "closed", "last_fence": 0, "openings": 512},
    "slots": [],
    "faults": [],
    "alarms": ["low_battery"],
    "signal_dbm": -71,
    "firmware": "2.4.1",
    "availability": {
        "available": False,
        "reasons": [{"reason": "low_battery", "since": "2025-10-09T08:41:09Z", "age_s": 731.4}],
        "units": 0,
        "spaces": 0,
    },
    "stale": False,
}


class MapReason(BaseModel):
    """Why a device is not rentable."""

    reason: str = Field(examples=["low_battery"])
    since: int = Field(description="Unix milliseconds", examples=[1760000000000])


class MapDeviceModel(BaseModel):
    """A device as maps show it. `id` is its public id; a bike that was used has another one."""

    model_config = ConfigDict(json_schema_extra={"examples": [MAP_DEVICE_EXAMPLE]})

    id: str
    marker: int = Field(description="A 9-digit number for map widgets that want one")
    kind: KindName
    lat: float = Lat
    lon: float = Lon
    available: bool
    reasons: list[MapReason] = Field(description="Empty exactly when available")
    battery_pct: int | None
    units: int = Field(description="Rentable units: 1 or 0 for a bike")
    spaces: int = Field(description="Free slots to return into")
    at: int = Field(description="Time of the report that says so, Unix milliseconds")


class NearDevice(MapDeviceModel):
    """A device with its distance."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**MAP_DEVICE_EXAMPLE, "distance_m": 41.7}]})

    distance_m: float = Field(description="Great-circle distance, metres")


class NearbyAnswer(BaseModel):
    """Nearest first. `stale`: the live feed is out of reach or being refilled."""

    devices: list[NearDevice]
    stale: bool


class Stamp(BaseModel):
    """The device's own order of its reports."""

    boot: int
    seq: int


class Position(BaseModel):
    """Where a device is, and how old that knowledge is."""

    lat: float = Lat
    lon: float = Lon
    accuracy_m: float | None = Field(description="None where the registry says where the device stands")
    fixed_at: datetime | None


class ReasonWithAge(BaseModel):
    """Why a device is not rentable, since when and for how long."""

    reason: str = Field(examples=["low_battery"])
    since: datetime | None
    age_s: float | None = Field(description="Seconds", examples=[731.4])


class AvailabilityModel(BaseModel):
    """Computed, and explained."""

    available: bool
    reasons: list[ReasonWithAge]
    units: int
    spaces: int


class LockModel(BaseModel):
    """The bolt of a device that is itself the rentable unit."""

    bolt: BoltName
    last_fence: int
    openings: int = Field(description="How often the bolt has opened in its life")


class SlotModel(BaseModel):
    """One numbered position of a cabinet or locker."""

    number: int
    unit_id: str | None
    bolt: BoltName | None
    door_closed: bool | None
    occupied: bool | None
    charge_pct: int | None
    last_fence: int
    openings: int = Field(description="How often the position has opened in its life")
    faults: list[str]


class DeviceAnswer(BaseModel):
    """One device as the gateway believes it now."""

    model_config = ConfigDict(json_schema_extra={"examples": [DEVICE_EXAMPLE]})

    id: str = Field(description="Device id")
    public_id: str
    marker: int
    kind: KindName
    model: str
    operator_id: int
    presence: PresenceName
    heard_at: datetime | None
    revision: int = Field(description="Counts accepted changes; 0 before the first report")
    stamp: Stamp | None
    at: datetime | None = Field(description="Time of the newest report")
    position: Position | None
    battery_pct: int | None
    charging: bool | None
    moving: bool | None
    lock: LockModel | None
    slots: list[SlotModel]
    faults: list[str]
    alarms: list[str]
    signal_dbm: int | None
    firmware: str | None
    availability: AvailabilityModel
    stale: bool = Field(description="Redis is away: this is what PostgreSQL had at most a minute ago")


class DeviceListed(BaseModel):
    """One device of the registry."""

    id: str
    public_id: str
    marker: int
    kind: KindName
    model: str
    operator_id: int
    status: Literal["registered", "active", "suspended", "retired"]


class DevicePage(BaseModel):
    """Devices in the order of their ids."""

    devices: list[DeviceListed]
    next: str | None = Field(description="Give it as `after` for the next page; null at the end")


class RawPointModel(BaseModel):
    """One stored report."""

    at: datetime
    received_at: datetime
    boot: int
    seq: int
    clock_suspect: bool
    kept: bool
    lat: float | None
    lon: float | None
    accuracy_m: float | None
    battery_pct: int | None
    bolt: BoltName | None
    moving: bool | None
    units: int | None
    spaces: int | None
    signal_dbm: int | None


class StepPointModel(BaseModel):
    """All reports of one minute, hour or day (UTC); the position is the last in it."""

    at: datetime
    reports: int
    lat: float | None
    lon: float | None
    battery_min_pct: int | None
    battery_max_pct: int | None
    battery_last_pct: int | None
    units_min: int | None
    units_max: int | None
    units_last: int | None
    spaces_min: int | None
    spaces_max: int | None
    spaces_last: int | None
    online_minutes: int = Field(description="Minutes in which the device reported")


class HistoryAnswer(BaseModel):
    """A part of one device's history, oldest first."""

    device_id: str
    step: Literal["raw", "1m", "1h", "1d"]
    points: list[RawPointModel | StepPointModel]
    next: str | None = Field(description="Give it as `after` for the next page; null at the end")


class FleetGroup(BaseModel):
    """How many devices are alike."""

    kind: KindName
    available: bool
    presence: PresenceName
    count: int


class FleetAnswer(BaseModel):
    """Counts of the devices on the map."""

    devices: int
    groups: list[FleetGroup]
    stale: bool


class QuarantinedModel(BaseModel):
    """A frame that was not understood, kept for a person."""

    number: int
    device_id: str
    topic: str
    reason: str = Field(examples=["malformed"])
    where: str
    received_at: datetime
    frame_hex: str
    frame_bytes: int


class QuarantineAnswer(BaseModel):
    """Newest first."""

    frames: list[QuarantinedModel]
    next: int | None = Field(description="Give it as `before` for the next page; null at the end")


class ReadyAnswer(BaseModel):
    """Whether this process can serve, and why not."""

    ready: bool
    reasons: list[str] = Field(examples=[["the feed: shard 03: feed epoch is gone"]])
