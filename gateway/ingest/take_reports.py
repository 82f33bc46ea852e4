"""The straight line of a batch of device reports."""

from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

from firmware_protocol.messages import DeviceId
from gateway.core.presence import next_silence_ms
from gateway.counters import IngestCounters
from gateway.evidence import EvidenceSink
from gateway.ingest.admission import Admission, Admitted, admit
from gateway.ingest.beliefs import NOTHING_PREPARED, Beliefs
from gateway.ingest.filing import DeviceReports, Filing, GivenSeqs, file_reports
from gateway.ingest.fresh_ids import FreshIds
from gateway.ingest.held_saves import HeldSaves
from gateway.ingest.receipts import publish_receipts
from gateway.ingest.sighting_quota import SightingQuota
from gateway.ingest.silence_wheel import SilenceWheel
from gateway.ingest.state_cache import CachedState
from gateway.ports import (
    Appended,
    Arrived,
    DeviceLink,
    HistoryBatch,
    HistoryStore,
    QuarantinedFrame,
    Registry,
    UnitSighting,
)

HEARTBEATS_ONLY_LATE = 3
"""So long a device may drain old reports before silence about new ones is an alarm."""

TELL_LOST_EVERY_MS = 3_600_000
"""Per device: a hostile one must not fill the log."""

Stamps = frozenset[tuple[int, int, int]]
"""(device_no, boot, seq) of reports that history does not hold: only their frames are kept, for a person."""


class ReportPorts(Struct, frozen=True):
    """What the flow needs of the world."""

    registry: Registry
    history: HistoryStore
    beliefs: Beliefs
    link: DeviceLink
    silence: SilenceWheel
    counters: IngestCounters
    evidence: EvidenceSink
    fresh_ids: FreshIds


class TakeReports:
    """One batch at a time. When `take` raises, nothing was acknowledged: give the same batch again, or close
    the links so that the broker does."""

    def __init__(self, ports: ReportPorts) -> None:
        self._ports = ports
        self._saves = HeldSaves()
        self._sighted = SightingQuota()
        self._tried: GivenSeqs | None = None
        """Not None when the batch that is given next was tried before, so its rows may be committed already."""

    async def take(self, batch: Sequence[Arrived]) -> None:
        """Stores, applies, acknowledges, receipts. Raises StoreUnavailable, LaneTrouble."""
        ports = self._ports
        admission = await admit(batch, ports.registry)
        cached = await ports.beliefs.look_up(_wanted(admission.admitted))
        filing = file_reports(admission.admitted, cached, tried=self._tried)
        unstored = await self._append(filing, admission)
        _set_apart(unstored, filing, ports.beliefs)
        # Who waits at a lock goes first: what is stored settles, whatever Redis does.
        await self._offer(filing)
        announced = await ports.beliefs.advance(filing.by_device, filing.prepared)
        # A crash up to here means redelivery; one from here on, at most a receipt the device will ask for again.
        ports.link.acknowledge([arrived.delivery for arrived in batch])
        self._tried = None
        receipted = publish_receipts(filing.by_device, ports.link)
        self._count(filing, announced, receipted)

    async def _append(self, filing: Filing, admission: Admission) -> Stamps:
        """Commits everything of the batch in one transaction; returns what history would not take."""
        refused = admission.refused
        if not admission.admitted and not refused:
            return frozenset()
        newest_ms = max((one.arrived.received_ms for one in admission.admitted), default=0)
        saves = self._saves.due(newest_ms)
        sightings = self._sighted.due(filing.sightings, newest_ms)
        batch = HistoryBatch(
            filing.rows,
            filing.doubtful,
            refused,
            sightings,
            saves,
            meanwhile=lambda: filing.prepare(self._ports.beliefs),
        )
        tried, self._tried = self._tried is not None, filing.given
        appended = await self._ports.history.append(batch)
        self._saves.written(saves)
        self._note_sighted(filing, sightings)
        self._note_committed(filing, newest_ms)
        counters = self._ports.counters
        counters.batch_stored(
            rows=len(filing.rows),
            doubtful=len(filing.doubtful),
            doubled=0 if tried else appended.doubled,
            newest_received_ms=newest_ms,
        )
        if reasons := _reasons(refused, appended):
            for reason, count in Counter(reasons).items():
                counters.refused(reason, count)
        return appended.stamp_reused | appended.refused

    def _note_sighted(self, filing: Filing, due: Sequence[UnitSighting]) -> None:
        if not filing.sightings:
            return
        self._sighted.written(due)
        if beyond := len(filing.sightings) - len(due):
            written = {id(seen) for seen in due}
            loud = next(seen.device_no for seen in filing.sightings if id(seen) not in written)
            names = {reports.device.device_no: device_id for device_id, reports in filing.by_device.items()}
            self._ports.counters.sightings_beyond(names[loud], beyond)

    async def _offer(self, filing: Filing) -> None:
        """Each stored report of a device with something open may settle it, not only the newest."""
        evidence = self._ports.evidence
        if not evidence.open_devices:
            return
        offered = [
            (reports.device, reports.stamped)
            for reports in filing.by_device.values()
            if reports.device.device_no in evidence.open_devices
        ]
        if offered:
            await evidence.offer(offered)

    def _note_committed(self, filing: Filing, now_ms: int) -> None:
        for reports in filing.by_device.values():
            cached: CachedState = reports.cached
            cached.committed_boot, cached.committed_seq = reports.newest
            if reports.units is not None:
                cached.units = reports.units
            if reports.saved is not None:
                cached.saved_at_ms = now_ms
                # Of before this batch, whose reports only history has.
                taken_ms = min(one.received_ms for one in reports.stamped)
                self._saves.hold(cached, reports.saved, taken_ms=taken_ms, now_ms=now_ms)

    def _count(self, filing: Filing, announced: int, receipted: int) -> None:
        advanced = repeated = late = 0
        silence, fresh_ids = self._ports.silence, self._ports.fresh_ids
        for device_id, reports in filing.by_device.items():
            advanced += reports.advanced
            state = reports.cached.state
            if state is not None and state.reasons:
                fresh_ids.look_at(reports.shard, device_id, state)
            if not silence.is_watched(reports.shard, device_id):
                _watch(device_id, reports, silence)
            if reports.repeated or reports.late:
                repeated += reports.repeated
                late += reports.late
                self._watch_numbering(reports)
            elif reports.cached.late_since_ms:
                reports.cached.late_since_ms, reports.cached.late_alarmed = 0, False
            # In a device's life once or never.
            if reports.stamped[-1].report.kept_lost > reports.cached.kept_lost:
                self._tell_lost(reports)
        counters = self._ports.counters
        counters.batch_applied(advanced=advanced, repeated=repeated, late=late, announced=announced)
        if receipted:
            counters.receipted(receipted)

    def _tell_lost(self, reports: DeviceReports) -> None:
        """A full ring that lost what was promised to be kept; a device that always says so is not heard always."""
        cached, last = reports.cached, reports.stamped[-1]
        if last.received_ms - cached.kept_lost_said_ms >= TELL_LOST_EVERY_MS:
            cached.kept_lost, cached.kept_lost_said_ms = last.report.kept_lost, last.received_ms
            self._ports.counters.kept_lost(reports.device.device_id, cached.kept_lost)

    def _watch_numbering(self, reports: DeviceReports) -> None:
        """A device whose counter went back is heard and ignored for ever: somebody must know."""
        cached = reports.cached
        if reports.advanced or not reports.late:
            cached.late_since_ms, cached.late_alarmed = 0, False
            return
        # A person may have set the numbering back in the store; only reading it again tells.
        cached.doubted = True
        received_ms = reports.stamped[-1].received_ms
        if not cached.late_since_ms:
            cached.late_since_ms = received_ms
        patience_ms = HEARTBEATS_ONLY_LATE * reports.model.heartbeat_s * 1000
        if not cached.late_alarmed and received_ms - cached.late_since_ms >= patience_ms:
            cached.late_alarmed = True
            self._ports.counters.only_late(reports.device.device_id)


def _wanted(admitted: Sequence[Admitted]) -> dict[DeviceId, tuple[int, int]]:
    return {one.device.device_id: (one.arrived.lane, one.device.device_no) for one in admitted}


def _watch(device_id: DeviceId, reports: DeviceReports, silence: SilenceWheel) -> None:
    state = reports.cached.state
    if state is not None:
        due_ms = next_silence_ms(state.heard_at_ms, state.presence, reports.model)
        if due_ms is not None:
            silence.watch(reports.shard, device_id, due_ms)


def _set_apart(unstored: Stamps, filing: Filing, beliefs: Beliefs) -> None:
    """A stamp with two contents, or a row that history refuses, moves nothing and is not receipted; quarantine
    has it. What is cached of the device is dropped, because its numbering may have been set back by a person."""
    if not unstored:
        return
    filing.prepared = NOTHING_PREPARED
    device_nos = {device_no for device_no, _, _ in unstored}
    for device_id, reports in list(filing.by_device.items()):
        device_no = reports.device.device_no
        if device_no in device_nos:
            reports.stamped = [
                one for one in reports.stamped if (device_no, one.boot, one.seq) not in unstored
            ]
            beliefs.cache.forget(reports.shard, device_id)
            if not reports.stamped:
                del filing.by_device[device_id]


def _reasons(refused: Sequence[QuarantinedFrame], appended: Appended) -> list[str]:
    reasons = [frame.reason for frame in refused] + ["stamp_reused"] * len(appended.stamp_reused)
    return reasons + ["refused_by_store"] * len(appended.refused)
