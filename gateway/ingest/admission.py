"""Which frames of a batch are stored as reports, and which are kept for a person instead."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from firmware_protocol.messages import DeviceId, Report
from firmware_protocol.topics import report_topic, shard_of
from gateway.core.device import DeviceModel, DeviceRecord, Status
from gateway.ports import Arrived, QuarantinedFrame, Registry

# Looking a member up in its enumeration costs ten times as much as a global name.
_ACTIVE = Status.ACTIVE


class Admitted(Struct, frozen=True, gc=False):
    """A report of a device we listen to, on its own shard, under a boot number it was given."""

    arrived: Arrived
    report: Report
    device: DeviceRecord
    model: DeviceModel


class Admission(Struct, frozen=True):
    """A batch, divided."""

    admitted: list[Admitted]
    refused: list[QuarantinedFrame]


async def admit(batch: Sequence[Arrived], registry: Registry) -> Admission:
    """Raises StoreUnavailable when a device that is not in memory cannot be asked for."""
    devices = list(map(registry.known, [arrived.device_id for arrived in batch]))
    if not all(devices):
        loaded = await _load_unknown(batch, registry)
        devices = [known or loaded.get(one.device_id) for known, one in zip(devices, batch, strict=True)]
    admitted: list[Admitted] = []
    refused: list[QuarantinedFrame] = []
    strange: set[tuple[int, int]] = set()
    model_of = registry.model
    for arrived, device in zip(batch, devices, strict=True):
        report = arrived.report
        if arrived.beyond_quota:
            continue
        if report is None:
            refused.append(
                _quarantined(arrived, "malformed", f"{arrived.malformed_reason} ({arrived.malformed_at})")
            )
            continue
        if device is None:
            refused.append(_quarantined(arrived, "unknown_device", "not registered"))
        elif device.status is not _ACTIVE:
            refused.append(_quarantined(arrived, "unknown_device", device.status.name.lower()))
        elif arrived.lane != shard_of(arrived.device_id):
            refused.append(_quarantined(arrived, "wrong_shard", f"came on {arrived.lane:02x}"))
        else:
            if report.boot != device.boot and report.boot:
                strange.add((device.device_no, report.boot))
            admitted.append(Admitted(arrived, report, device, model_of(device.model)))
    admission = Admission(admitted, refused)
    return await _without_strange_boots(admission, strange, registry) if strange else admission


async def _load_unknown(batch: Iterable[Arrived], registry: Registry) -> Mapping[DeviceId, DeviceRecord]:
    known = registry.known
    unknown = {one.device_id for one in batch if one.report is not None and known(one.device_id) is None}
    return await registry.load(sorted(unknown)) if unknown else {}


async def _without_strange_boots(
    admission: Admission, pairs: set[tuple[int, int]], registry: Registry
) -> Admission:
    """Asks for every (device_no, boot) that is not the device's newest: one never given to this very device may
    be a clone's or a liar's, and must not move anything."""
    strange = pairs - await registry.boots_issued(sorted(pairs))
    if not strange:
        return admission
    admitted = [one for one in admission.admitted if (one.device.device_no, one.report.boot) not in strange]
    refused = [
        _quarantined(one.arrived, "boot_not_issued", f"boot {one.report.boot}")
        for one in admission.admitted
        if (one.device.device_no, one.report.boot) in strange
    ]
    return Admission(admitted, admission.refused + refused)


def _quarantined(arrived: Arrived, reason: str, where: str) -> QuarantinedFrame:
    return QuarantinedFrame(
        device_id=arrived.device_id,
        topic=arrived.topic or report_topic(arrived.device_id),
        reason=reason,
        where=where,
        received_ms=arrived.received_ms,
        frame=arrived.frame,
    )
