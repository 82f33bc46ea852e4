"""Devices, reports and states that tests begin with."""

from msgspec import structs

from firmware_protocol.codec import Encoding, encode_report
from firmware_protocol.messages import Bolt, DeviceId, Fix, Lock, Report, Slot
from firmware_protocol.topics import shard_of
from gateway.core.device import DeviceModel, Kind
from gateway.core.live_state import LiveState, MapEntry, Presence
from gateway.ports import Arrived, Delivery

BOOT = 1_790_000_000
BOOT_MS = BOOT * 1000

BIKE = DeviceModel("bike", Kind.BIKE, heartbeat_s=60, quiet_after_s=150, lost_after_s=600)
CABINET = DeviceModel(
    "cabinet", Kind.CABINET, heartbeat_s=30, quiet_after_s=75, lost_after_s=300, slot_count=4
)
LOCKER = DeviceModel("locker", Kind.LOCKER, heartbeat_s=30, quiet_after_s=75, lost_after_s=300, slot_count=4)
GUEST = structs.replace(BIKE, model="guest", auto_register=True)
MODELS = (BIKE, CABINET, LOCKER, GUEST)


def bike_report(
    seq: int, *, boot: int = BOOT, keep: bool = False, battery_pct: int = 80, lat_e7: int = 0
) -> Report:
    """A bike that stands locked, `seq` seconds after its boot."""
    return Report(
        boot=boot,
        seq=seq,
        elapsed_ms=seq * 1000,
        keep=keep,
        fix=Fix(lat_e7, 1_030_000_000, 3.0),
        lock=Lock(Bolt.CLOSED),
        battery_pct=battery_pct,
    )


def cabinet_report(seq: int, units: dict[int, str], *, size: int = 4) -> Report:
    """A cabinet with these units, charged, in its slots."""
    slots = tuple(
        Slot(number, unit_id=units.get(number), charge_pct=90 if number in units else None)
        for number in range(1, size + 1)
    )
    return Report(boot=BOOT, seq=seq, elapsed_ms=seq * 1000, fix=Fix(0, 0), slots=slots)


def arrived(
    device_id: DeviceId,
    report: Report,
    *,
    received_ms: int | None = None,
    redelivered: bool = False,
    packet_id: int = 1,
    encoding: Encoding = Encoding.CBOR,
) -> Arrived:
    """The report as the edge hands it on; received when it was made unless told."""
    made_ms = report.boot * 1000 + (report.elapsed_ms or 0)
    return Arrived(
        lane=shard_of(device_id),
        device_id=device_id,
        report=report,
        frame=encode_report(report, encoding=encoding),
        received_ms=made_ms if received_ms is None else received_ms,
        delivery=Delivery("lk-gw", 1, packet_id),
        redelivered=redelivered,
    )


def entry(device_id: DeviceId, *, lat_e7: int = 0) -> MapEntry:
    """An available bike."""
    return MapEntry(
        device_id=device_id,
        public_id=f"public-{device_id}",
        marker=123_456_789,
        operator_id=1,
        kind=Kind.BIKE,
        lat_e7=lat_e7,
        lon_e7=1_030_000_000,
        available=True,
        reasons=(),
        battery_pct=80,
        units=1,
        spaces=0,
        claimed=False,
        at_ms=BOOT_MS,
    )


def state(device_id: DeviceId, revision: int, *, lat_e7: int = 0, mapped: bool = True) -> LiveState:
    """A live state of this revision."""
    return LiveState(
        revision=revision,
        boot=BOOT,
        seq=revision,
        at_ms=BOOT_MS + revision,
        heard_at_ms=BOOT_MS + revision,
        presence=Presence.ONLINE,
        frame=b"frame",
        reasons=(),
        claims=(),
        entry=entry(device_id, lat_e7=lat_e7) if mapped else None,
    )
