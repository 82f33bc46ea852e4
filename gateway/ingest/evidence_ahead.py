"""What reports that still wait for a store say about open commands."""

from collections.abc import Iterable, Sequence, Set

from gateway.core.device import DeviceRecord
from gateway.core.report_time import row_time
from gateway.core.slots import count_slots
from gateway.core.stamped import StampedReport
from gateway.evidence import EvidenceSink, Offered
from gateway.ingest.admission import Admitted, admit
from gateway.ports import Arrived, Registry


class EvidenceAhead:
    """Implements `Ahead`: without Redis no live state can be written, so no batch ends, and yet whoever stands in
    front of a lock is told what its bolt says. Needs PostgreSQL alone; with that away nothing is offered.

    Nothing is stored here and nothing acknowledged: each report is stored, offered again and acknowledged in its
    turn. A command may so be settled by a report that history does not have yet, and never gets when the broker
    loses its disk before: the timeline names its stamp, and what its device keeps (every opening) it sends again
    until it is receipted. That a stamp has two contents is found out when it is stored; a device that is broken or
    hostile enough for that can say of its bolt what it likes at any time."""

    def __init__(self, registry: Registry, evidence: EvidenceSink) -> None:
        self._registry = registry
        self._evidence = evidence

    def pays(self) -> bool:
        """Whether anything is open."""
        return bool(self._evidence.open_devices)

    async def look(self, items: Sequence[Arrived]) -> None:
        """Offers what would be stored as a report. Raises StoreUnavailable."""
        admission = await admit(items, self._registry)
        offered = evidence_in(admission.admitted, self._evidence.open_devices)
        if offered:
            await self._evidence.offer(offered)


def evidence_in(admitted: Iterable[Admitted], open_devices: Set[int]) -> list[Offered]:
    """Reports of full devices with something open, each device once, in the order received. Basic devices take no
    orders, and what they are stamped with depends on what was stored before."""
    by_device: dict[int, tuple[DeviceRecord, list[StampedReport]]] = {}
    for one in admitted:
        device, report = one.device, one.report
        if device.device_no in open_devices and report.boot and report.seq is not None:
            _, reports = by_device.setdefault(device.device_no, (device, []))
            reports.append(_stamped(one, report.seq))
    return list(by_device.values())


def _stamped(one: Admitted, seq: int) -> StampedReport:
    """As it will be filed: of a full device the frame alone says it."""
    report, received_ms = one.report, one.arrived.received_ms
    time = row_time(report, received_ms)
    counts = count_slots(one.model, report.slots)
    return StampedReport(
        report,
        report.boot,
        seq,
        time.at_ms,
        time.clock_suspect,
        received_ms,
        counts.units,
        counts.spaces,
        one.arrived.frame,
    )
