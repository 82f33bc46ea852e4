"""Compares what devices know they sent with what history, live state and map say; pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec import Struct

from device_sim.truth import DeviceTruth, Stamp
from firmware_protocol import codec
from firmware_protocol.messages import Report
from geo.point import Point, equirectangular_m, from_degrees

MAP_STRAYS_M = 40.0
"""A map hears of a parked device when it is beyond the accuracy of its fix, at most 25 m in either axis."""
CLOCK_TRUSTED_MS = 60_000
"""A basic device whose clock is further behind is believed silent, and rightly so: not judged on the map."""
CHARGE_STRAYS_PCT = 5


class SeenStamp(Struct, frozen=True):
    """A stamp in an answer of the API."""

    boot: int
    seq: int


class SeenSlot(Struct, frozen=True):
    """A slot in an answer of the API."""

    number: int
    unit_id: str | None = None
    occupied: bool | None = None
    door_closed: bool | None = None
    openings: int = 0
    last_fence: int = 0


class SeenLock(Struct, frozen=True):
    """The bolt in an answer of the API."""

    bolt: str
    openings: int = 0
    last_fence: int = 0


class SeenDevice(Struct, frozen=True):
    """One device as `GET /v1/devices/{id}` has it."""

    id: str
    public_id: str
    presence: str
    stamp: SeenStamp | None = None
    battery_pct: int | None = None
    moving: bool | None = None
    lock: SeenLock | None = None
    slots: list[SeenSlot] = []


class MapDevice(Struct, frozen=True):
    """One device as a map client holds it."""

    id: str
    lat: float
    lon: float
    battery_pct: int | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything the gateway says about one device."""

    device: SeenDevice | None
    """None: the API does not know it."""
    history: Sequence[Stamp]
    """One entry per stored report."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing on which the fleet and the gateway disagree."""

    device_id: str
    what: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.device_id}: {self.what}" + (f" ({self.detail})" if self.detail else "")


def audit(
    truths: Sequence[DeviceTruth],
    seen: Mapping[str, Seen],
    on_map: Mapping[str, MapDevice],
    *,
    all_spoke: bool = False,
) -> list[Difference]:
    """All differences over a quiet fleet; `seen` by device id, `on_map` by public id. When every device was asked
    for a last word (`all_spoke`), one that never got a report out is a difference too."""
    found: list[Difference] = []
    for truth in truths:
        answer = seen.get(truth.device_id)
        if answer is None or answer.device is None:
            found.append(Difference(truth.device_id, "unknown to the gateway"))
            continue
        found += history_differences(truth, answer.history)
        if truth.newest_frame:
            found += live_differences(truth, answer.device)
            found += map_differences(truth, answer.device, on_map.get(answer.device.public_id))
            continue
        if all_spoke:
            found.append(Difference(truth.device_id, "never reported"))
        if answer.device.public_id in on_map:
            found.append(Difference(truth.device_id, "on the map, though it never reported"))
    return found + ghosts(seen, on_map)


def history_differences(truth: DeviceTruth, history: Sequence[Stamp]) -> list[Difference]:
    """Kept reports that are missing or never left the device, and any report that is there twice."""
    stored = Counter(history)
    found = [
        Difference(truth.device_id, "receipted but not in history", _named(stamp))
        for stamp in sorted(truth.receipted)
        if stamp not in stored
    ]
    lost_by_device = truth.kept_lost
    for stamp in sorted(truth.outstanding):
        # What the device still holds it did not lose, however much it lost otherwise.
        if lost_by_device > 0 and stamp not in stored and stamp not in truth.in_ring:
            lost_by_device -= 1
            continue
        found.append(Difference(truth.device_id, "kept report without receipt", _named(stamp)))
    # The outstanding ones in the ring have their own lines; nobody but the device knows of the others.
    unsent = truth.unreceipted - len(truth.outstanding & truth.in_ring)
    if unsent > 0:
        found.append(Difference(truth.device_id, "kept reports still inside the device", f"{unsent}"))
    found += [
        Difference(truth.device_id, f"in history {count} times", _named(stamp))
        for stamp, count in sorted(stored.items())
        if count > 1
    ]
    return found


def live_differences(truth: DeviceTruth, device: SeenDevice) -> list[Difference]:
    """A live state that is older than, or unlike, the newest report the broker confirmed."""
    if device.stamp is None:
        return [Difference(truth.device_id, "no live state", f"sent {_named(truth.newest_stamp)}")]
    live: Stamp = (device.stamp.boot, device.stamp.seq)
    if live < truth.newest_stamp:
        detail = f"believes {_named(live)}, sent {_named(truth.newest_stamp)}"
        return [Difference(truth.device_id, "stale live state", detail)]
    if live > truth.newest_stamp:
        # A report whose confirmation was cut off may well have arrived.
        if live in truth.unconfirmed:
            return []
        return [Difference(truth.device_id, "live state of a report never sent", _named(live))]
    report = codec.decode_report(truth.newest_frame)
    return [
        Difference(truth.device_id, f"live state differs in {field}", f"believes {believed}, sent {sent}")
        for field, believed, sent in _compared(device, report)
        if believed != sent
    ]


def map_differences(truth: DeviceTruth, device: SeenDevice, shown: MapDevice | None) -> list[Difference]:
    """Missing on the map, there though it should not be, or in the wrong place."""
    if truth.basic and truth.skew_ms < -CLOCK_TRUSTED_MS:
        return []
    if device.presence == "lost":
        return [] if shown is None else [Difference(truth.device_id, "on the map, though lost")]
    if shown is None:
        return [Difference(truth.device_id, "missing on the map")]
    report = codec.decode_report(truth.newest_frame)
    found: list[Difference] = []
    if report.fix is not None:
        where = Point(report.fix.lat_e7, report.fix.lon_e7)
        off_m = equirectangular_m(where, from_degrees(shown.lat, shown.lon))
        if off_m > MAP_STRAYS_M:
            found.append(Difference(truth.device_id, "in the wrong place on the map", f"{off_m:.0f} m off"))
    if not _charge_close(shown.battery_pct, report.battery_pct):
        detail = f"shows {shown.battery_pct}, sent {report.battery_pct}"
        found.append(Difference(truth.device_id, "wrong charge on the map", detail))
    return found


def ghosts(seen: Mapping[str, Seen], on_map: Mapping[str, MapDevice]) -> list[Difference]:
    """What is on the map and is nobody's current public id; devices of other fleets are asked for beforehand."""
    known = {answer.device.public_id for answer in seen.values() if answer.device is not None}
    return [Difference(public_id, "a ghost on the map") for public_id in on_map if public_id not in known]


def _compared(device: SeenDevice, report: Report) -> list[tuple[str, object, object]]:
    lock, seen = report.lock, device.lock
    bolt = None if lock is None else lock.bolt.name.lower()
    return [
        ("battery_pct", device.battery_pct, report.battery_pct),
        ("moving", device.moving, report.moving),
        ("bolt", None if seen is None else seen.bolt, bolt),
        ("openings", None if seen is None else seen.openings, None if lock is None else lock.openings),
        ("last fence", None if seen is None else seen.last_fence, None if lock is None else lock.last_fence),
        ("unit ids", [slot.unit_id for slot in device.slots], [slot.unit_id for slot in report.slots]),
        ("occupancy", [slot.occupied for slot in device.slots], [slot.occupied for slot in report.slots]),
        ("slot openings", [slot.openings for slot in device.slots], [slot.openings for slot in report.slots]),
        (
            "slot fences",
            [slot.last_fence for slot in device.slots],
            [slot.last_fence for slot in report.slots],
        ),
        ("doors", [slot.door_closed for slot in device.slots], [slot.door_closed for slot in report.slots]),
    ]


def _charge_close(shown_pct: int | None, sent_pct: int | None) -> bool:
    if shown_pct is None or sent_pct is None:
        return shown_pct is sent_pct
    return abs(shown_pct - sent_pct) < CHARGE_STRAYS_PCT


def _named(stamp: Stamp) -> str:
    return f"boot {stamp[0]} seq {stamp[1]}"
