"""What the gateway believes of one device now."""

from enum import IntEnum

from msgspec import Struct

from firmware_protocol.messages import DeviceId, ReportStamp

UNKNOWN = -1
"""Openings of a bolt that nobody has counted yet."""


class Presence(IntEnum):
    """How long ago the device was heard, against its model's thresholds."""

    ONLINE = 1
    QUIET = 2
    LOST = 3


class Reason(IntEnum):
    """Why a device is not rentable."""

    NEVER_HEARD = 1
    QUIET = 2
    LOST = 3
    SUSPENDED = 4
    NO_POSITION = 5
    LOW_BATTERY = 6
    FAULT = 7
    ALARM = 8
    BOLT_NOT_CLOSED = 9
    NO_UNITS = 10
    CLAIMED = 11
    IN_MOTION = 12
    RETURNED = 13
    """A bike that was used has no new public id yet."""


class MapEntry(Struct, frozen=True, gc=False, array_like=True):
    """What a map shows of one device: the feed, the fleet view and Redis hold this same value."""

    device_id: DeviceId
    public_id: str
    marker: int
    operator_id: int
    kind: int
    lat_e7: int
    lon_e7: int
    available: bool
    reasons: tuple[tuple[int, int], ...]
    """(Reason, since Unix ms), empty exactly when available."""
    battery_pct: int | None
    units: int
    """Rentable units: 1 or 0 for a bike, banks or free compartments for the others."""
    spaces: int
    """Free slots to return into."""
    claimed: bool
    at_ms: int
    """Row time of the report that made this entry."""


class Claim(Struct, frozen=True, gc=False, array_like=True):
    """A hold, booking or rental of a unit; none exist before the rental line."""

    claim_id: str
    slot: int
    until_ms: int


class LiveState(Struct, frozen=True, gc=False, array_like=True):
    """One device as the gateway believes it now; the newest report is kept as its frame."""

    revision: int
    """Counts accepted changes of this state; compare-and-set by it."""
    boot: int
    seq: int
    at_ms: int
    """Row time of the newest report (Unix ms)."""
    heard_at_ms: int
    """min(received, at) of the newest hearing: a drained backlog makes nobody online."""
    presence: Presence
    frame: bytes
    """The newest report as it came; empty before the first."""
    reasons: tuple[tuple[int, int], ...]
    claims: tuple[Claim, ...]
    entry: MapEntry | None
    """What was last announced to maps; None when the device cannot be mapped."""
    openings: int = UNKNOWN
    """What the bolt of a bike counted last: one that has opened since was used, though no report of it was heard."""
    id_no: int = 0
    """The newest `public_id_no` that this bike was known by."""
    used_no: int = 0
    """The one it was last used under: it is shown again under a newer one only. Both 0 while nobody noted it."""

    @property
    def stamp(self) -> ReportStamp:
        return ReportStamp(self.boot, self.seq)
