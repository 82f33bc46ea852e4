"""The rows a batch of admitted reports becomes, and what each report will be applied as."""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from firmware_protocol.codec import decode_report
from firmware_protocol.errors import MalformedFrame
from firmware_protocol.messages import DeviceId, Report
from gateway.core.advance import Advanced, Outcome, Repeated, apply_report
from gateway.core.device import DeviceModel, DeviceRecord, Kind
from gateway.core.live_state import LiveState
from gateway.core.report_time import row_time
from gateway.core.slots import NO_SLOTS, count_slots
from gateway.core.stamped import StampedReport
from gateway.ingest.admission import Admitted
from gateway.ingest.beliefs import NOTHING_PREPARED, Beliefs, Prepared
from gateway.ingest.state_cache import CachedState
from gateway.ports import Arrived, HistoryRow, UnitSighting

SAVE_EVERY_MS = 60_000
"""How old `last_report` may be: what a rebuild reads from history per device stays within a minute or so."""

MAX_SEQ = 2**63 - 1
"""What a stamp may hold."""

# Looking a member up in its enumeration costs ten times as much as a global name.
_BIKE = Kind.BIKE

GivenSeqs = dict[int, tuple[Arrived, int]]
"""What reports without a seq were given on arrival, by identity: the same again when their batch is tried again.
(Neither content nor packet id tells them apart: a device repeats itself, and QoS 0 has no packet id.)"""


class DeviceReports(Struct, gc=False):
    """All reports of one device in a batch, in the order received."""

    shard: int
    device: DeviceRecord
    model: DeviceModel
    cached: CachedState
    newest: tuple[int, int]
    """The highest stamp known while filing: a report above it cannot be in history yet."""
    stamped: list[StampedReport] = []
    any_kept: bool = False
    """At least one of them asks for a receipt."""
    units: dict[int, str] | None = None
    """What the newest report with slots shows in them."""
    saved: LiveState | None = None
    """Due in `last_report`, once this batch is committed."""
    repeated: int = 0
    late: int = 0
    advanced: int = 0

    def propose(self, state: LiveState | None) -> Advanced | None:
        """All reports applied to this state, as one step."""
        first = state
        outcome: Outcome | None = None
        advanced = repeated = late = 0
        for stamped in self.stamped:
            outcome = apply_report(state, self.device, self.model, stamped)
            if type(outcome) is Advanced:
                state = outcome.after
                advanced += 1
            elif isinstance(outcome, Repeated):
                repeated += 1
            else:
                late += 1
        if not (self.advanced or self.repeated or self.late):
            # Only the first look tells: after a mismatch the reports may find themselves applied already.
            self.advanced, self.repeated, self.late = advanced, repeated, late
        if len(self.stamped) == 1 and type(outcome) is Advanced:
            return outcome
        if state is None or not advanced:
            return None
        shown = None if first is None else first.entry
        return Advanced(first, state, state.entry is not shown)


class Filing(Struct):
    """A batch, ready for one transaction of history."""

    rows: list[HistoryRow] = []
    doubtful: list[HistoryRow] = []
    sightings: list[UnitSighting] = []
    by_device: dict[DeviceId, DeviceReports] = {}
    given: GivenSeqs = {}
    prepared: Prepared = NOTHING_PREPARED
    """What the reports come to, where it was worked out while history stored them."""

    def prepare(self, beliefs: Beliefs) -> None:
        """Works it out."""
        self.prepared = beliefs.prepare(self.by_device)


def file_reports(
    admitted: Iterable[Admitted], cached: Mapping[DeviceId, CachedState], *, tried: GivenSeqs | None = None
) -> Filing:
    """Stamps and dates every report. A row goes by COPY when its stamp is above everything known and nothing
    says it came before: a broker's redelivery, or `tried`, what was given when the same batch was tried already."""
    filing = Filing(given=tried or {})
    by_device = filing.by_device
    for one in admitted:
        arrived, device, report = one.arrived, one.device, one.report
        reports = by_device.get(device.device_id)
        if reports is None:
            reports = _begin(one, cached[device.device_id])
            by_device[device.device_id] = reports
        stamped = _stamp(one, reports, filing.given)
        row = _row(stamped, device, one.model.kind)
        stamp = (stamped.boot, stamped.seq)
        if stamp > reports.newest:
            (filing.rows if tried is None and not arrived.redelivered else filing.doubtful).append(row)
            reports.newest = stamp
            if report.slots:
                _sight_units(stamped, reports, filing)
        else:
            filing.doubtful.append(row)
        reports.stamped.append(stamped)
        if report.keep:
            reports.any_kept = True
    return filing


def _begin(one: Admitted, cached: CachedState) -> DeviceReports:
    received_ms = one.arrived.received_ms
    reports = DeviceReports(one.arrived.lane, one.device, one.model, cached, cached.newest_known())
    if not cached.saved_at_ms:
        # Spread over the period, so that a fleet that came at once is not saved at once.
        cached.saved_at_ms = received_ms - cached.device_no * 7_919 % SAVE_EVERY_MS
    state = cached.state
    if cached.kept_lost < 0:
        # Once per device: an earlier life of this process has alarmed about what the stored report says.
        cached.kept_lost = _kept_lost(state)
    if (
        state is not None
        and received_ms - cached.saved_at_ms >= SAVE_EVERY_MS
        and state.revision != cached.saved_revision
    ):
        reports.saved = state
    return reports


def _kept_lost(state: LiveState | None) -> int:
    try:
        return decode_report(state.frame).kept_lost if state is not None and state.frame else 0
    except MalformedFrame:
        # Of an earlier version; nothing hangs on it.
        return 0


def _stamp(one: Admitted, reports: DeviceReports, given: GivenSeqs) -> StampedReport:
    report, received_ms = one.report, one.arrived.received_ms
    time = row_time(report, received_ms)
    counts = count_slots(one.model, report.slots) if report.slots else NO_SLOTS
    seq = report.seq
    if seq is None:
        _, seq = given.setdefault(id(one.arrived), (one.arrived, _seq_on_arrival(reports, received_ms)))
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


def _seq_on_arrival(reports: DeviceReports, received_ms: int) -> int:
    """Rising per device."""
    if reports.stamped:
        last = reports.stamped[-1].seq
    else:
        state = reports.cached.state
        last = state.seq if state is not None and state.boot == 0 else 0
    on_arrival = received_ms * 1000
    # Nothing comes after the last number there is: such a report is late, which tells the operator in time.
    return max(last + 1, on_arrival) if last < MAX_SEQ else on_arrival


def _row(stamped: StampedReport, device: DeviceRecord, kind: Kind) -> HistoryRow:
    report = stamped.report
    fix, lock = report.fix, report.lock
    has_slots = kind is not _BIKE
    # By position: names cost half a microsecond here.
    return HistoryRow(
        device.device_no,
        stamped.boot,
        stamped.seq,
        stamped.at_ms,
        stamped.received_ms,
        stamped.clock_suspect,
        report.keep,
        None if fix is None else fix.lat_e7,
        None if fix is None else fix.lon_e7,
        None if fix is None else fix.accuracy_m,
        report.battery_pct,
        None if lock is None else lock.bolt,
        report.moving,
        stamped.units if has_slots else None,
        stamped.spaces if has_slots else None,
        report.signal_dbm,
        stamped.frame,
        device.operator_id,
    )


def _sight_units(stamped: StampedReport, reports: DeviceReports, filing: Filing) -> None:
    """Only what differs from the last look: a unit that stays where it was is not news."""
    before = reports.cached.units if reports.units is None else reports.units
    now = _units_in(stamped.report)
    reports.units = now
    if now == before:
        return
    device_no = reports.device.device_no
    for slot, unit_id in now.items():
        if before.get(slot) != unit_id:
            filing.sightings.append(UnitSighting(unit_id, device_no, slot, stamped.at_ms))


def _units_in(report: Report) -> dict[int, str]:
    return {slot.number: slot.unit_id for slot in report.slots if slot.unit_id is not None}
