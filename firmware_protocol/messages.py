"""What a device and the gateway say to each other: frozen, whole-state, units in the names."""

from enum import IntEnum
from typing import Annotated, NewType

from msgspec import Meta, Struct

from firmware_protocol import limits

DeviceId = NewType("DeviceId", str)
UnitId = NewType("UnitId", str)

Uint63 = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""Fits a PostgreSQL bigint, so no accepted frame can be refused by the store."""
Int63 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Uint64 = Annotated[int, Meta(ge=0)]
"""The upper bound, 2**64 - 1, is beyond what a schema can hold here; the messages check it themselves."""
Percent = Annotated[int, Meta(ge=0, le=100)]
Code = Annotated[str, Meta(min_length=1, max_length=limits.MAX_CODE_CHARS, pattern=r"^[a-z0-9_]+\Z")]
"""A fault name of the model, such as `motor_stall`."""
_Id = Annotated[str, Meta(min_length=1, max_length=limits.MAX_ID_CHARS, pattern=r"^[A-Za-z0-9._:-]+\Z")]
_Text = Annotated[str, Meta(max_length=limits.MAX_TEXT_CHARS, pattern=r"^[ -~]*\Z")]


class Bolt(IntEnum):
    """What the bolt sensor says."""

    OPEN = 0
    CLOSED = 1
    BETWEEN = 2
    """Neither end position: moving or jammed."""


class Alarm(IntEnum):
    """What the device is alarmed about right now."""

    MOVED_WHILE_LOCKED = 1
    FELL = 2
    TAMPERED = 3
    LOW_BATTERY = 4
    DOOR_FORCED = 5
    OVERHEATED = 6


class ReportStamp(Struct, frozen=True, gc=False, order=True, array_like=True):
    """`(boot, seq)`: the device's own order of reports."""

    boot: Uint63
    seq: Uint63


class Fix(Struct, frozen=True, gc=False, omit_defaults=True):
    """A position with accuracy and its own time, in the coordinate system of the device's model."""

    lat_e7: Annotated[int, Meta(ge=-900_000_000, le=900_000_000)]
    lon_e7: Annotated[int, Meta(ge=-1_800_000_000, le=1_800_000_000)]
    accuracy_m: Annotated[float, Meta(ge=0.0, le=limits.MAX_ACCURACY_M)] = 0.0
    age_ms: Annotated[int, Meta(ge=0, le=limits.MAX_FIX_AGE_MS)] = 0
    """How old the fix was when the report was made: needs no clock in the device."""


class Lock(Struct, frozen=True, gc=False, omit_defaults=True):
    """The bolt of a device that is itself the rentable unit."""

    bolt: Bolt
    last_fence: Uint63 = 0
    """The fence of the last command executed here; 0 before the first."""
    openings: Uint63 = 0
    """How often this bolt has opened in its life."""


class Slot(Struct, frozen=True, gc=False, omit_defaults=True):
    """One numbered position of a cabinet or locker, whole."""

    number: Annotated[int, Meta(ge=1, le=limits.MAX_SLOTS)]
    unit_id: _Id | None = None
    """The unit seen in the slot; None when none is readable."""
    bolt: Bolt | None = None
    door_closed: bool | None = None
    occupied: bool | None = None
    """The occupancy sensor; None where the model has none."""
    charge_pct: Percent | None = None
    last_fence: Uint63 = 0
    openings: Uint63 = 0
    faults: Annotated[tuple[Code, ...], Meta(max_length=limits.MAX_FAULTS)] = ()


class Report(Struct, frozen=True, gc=False, omit_defaults=True):
    """One full statement of a device about itself; what it leaves out it does not know."""

    boot: Uint63 = 0
    """0 on the basic level; else the number the gateway gave at hello."""
    seq: Uint63 | None = None
    """None only on the basic level: the gateway then stamps on arrival."""
    elapsed_ms: Int63 | None = None
    """Monotonic milliseconds since the boot number was given, negative for reports made before."""
    reported_at_ms: Int63 | None = None
    """The device's own clock, Unix milliseconds."""
    keep: bool = False
    """The device keeps this report until it is receipted."""
    fix: Fix | None = None
    lock: Lock | None = None
    slots: Annotated[tuple[Slot, ...], Meta(max_length=limits.MAX_SLOTS)] = ()
    battery_pct: Percent | None = None
    charging: bool | None = None
    moving: bool | None = None
    faults: Annotated[tuple[Code, ...], Meta(max_length=limits.MAX_FAULTS)] = ()
    alarms: Annotated[tuple[Alarm, ...], Meta(max_length=limits.MAX_FAULTS)] = ()
    signal_dbm: Annotated[int, Meta(ge=-150, le=0)] | None = None
    firmware: _Text | None = None
    kept_lost: Uint63 = 0
    """Kept reports the device had to drop in its life because its ring was full."""

    def __post_init__(self) -> None:
        """Raises ValueError for what no single field can say."""
        if self.boot and (self.seq is None or (self.elapsed_ms is None and self.reported_at_ms is None)):
            raise ValueError("a boot number needs seq, and elapsed_ms or reported_at_ms")
        if self.slots and len({slot.number for slot in self.slots}) != len(self.slots):
            raise ValueError("a slot number appears twice")


def _check_64_bits(power_on_id: int) -> None:
    if power_on_id >> 64:
        raise ValueError("power_on_id is longer than 64 bits")


class Hello(Struct, frozen=True, gc=False, omit_defaults=True):
    """Said by a full device after every connect, until it is welcomed."""

    power_on_id: Uint64
    """Random, once per power-on: a repeated hello gets the same boot number."""
    model: _Id
    firmware: _Text = ""
    hello_sent_ms: Int63 | None = None
    """The device's own monotonic milliseconds when it sent this hello; the welcome repeats it, so that the device
    knows how old the time in it is. Needed for commands."""

    def __post_init__(self) -> None:
        """Raises ValueError when the id is longer than 64 bits."""
        _check_64_bits(self.power_on_id)


class Welcome(Struct, frozen=True, gc=False, omit_defaults=True):
    """The gateway's answer to a hello; a device ignores one whose `power_on_id` is not its own."""

    power_on_id: Uint64
    boot: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    server_time_ms: Uint63
    hello_sent_ms: Int63 | None = None
    """As the answered hello had it."""

    def __post_init__(self) -> None:
        """Raises ValueError when the id is longer than 64 bits."""
        _check_64_bits(self.power_on_id)


class Receipt(Struct, frozen=True, gc=False):
    """The gateway's word that the named kept reports are committed."""

    stamps: Annotated[tuple[ReportStamp, ...], Meta(min_length=1, max_length=limits.MAX_RECEIPT_STAMPS)]
