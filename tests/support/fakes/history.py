"""History in memory, with what a rebuild reads from it."""

from collections.abc import Sequence

from firmware_protocol.codec import decode_report
from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import shard_of
from gateway.core.advance import fold
from gateway.core.device import DeviceRecord
from gateway.core.live_state import LiveState
from gateway.core.slots import count_slots
from gateway.core.stamped import StampedReport
from gateway.ports import Appended, HistoryBatch, HistoryRow, LastReport, QuarantinedFrame, UnitSighting
from tests.support.fakes.interruptions import Interruptions
from tests.support.fakes.registry import FakeRegistry

Stamp = tuple[int, int, int]


class FakeHistory:
    """Implements `ports.HistoryStore` and `ports.LastReports`."""

    def __init__(self, registry: FakeRegistry, interruptions: Interruptions | None = None) -> None:
        self.rows: list[HistoryRow] = []
        """In the order of commit."""
        self.quarantined: list[QuarantinedFrame] = []
        self.sightings: list[UnitSighting] = []
        self.last_reports: dict[int, LastReport] = {}
        self._not_read: dict[int, int] = {}
        """How many of the first rows a rebuild leaves out, per device that was rebased."""
        self.fell_back = 0
        """Transactions whose COPY met a stored row and was done again through staging."""
        self._by_stamp: dict[Stamp, HistoryRow] = {}
        self._keys: set[tuple[int, int, int, int]] = set()
        self._registry = registry
        self._interruptions = interruptions or Interruptions()

    def stamps(self) -> set[Stamp]:
        """(device_no, boot, seq) of everything committed."""
        return set(self._by_stamp)

    async def append(self, batch: HistoryBatch) -> Appended:
        await self._interruptions.point("history.append")
        if batch.meanwhile is not None and not batch.doubtful:
            batch.meanwhile()
        rows, doubtful = list(batch.rows), list(batch.doubtful)
        keys = [(row.device_no, row.boot, row.seq, row.at_ms) for row in rows]
        if len(set(keys)) < len(keys) or any(key in self._keys for key in keys):
            self.fell_back += 1
            rows, doubtful = [], [*rows, *doubtful]
        for row in rows:
            self._store(row)
        appended = self._store_doubtful(doubtful)
        self.quarantined.extend(batch.quarantined)
        self.sightings.extend(batch.sightings)
        for last in batch.last_reports:
            saved = self.last_reports.get(last.device_no)
            if saved is None or last.state.revision > saved.state.revision:
                self.last_reports[last.device_no] = last
            if last.rebased:
                self._not_read[last.device_no] = len(self.rows)
        await self._interruptions.point("history.append:done")
        return appended

    async def of_shard(self, shard: int) -> Sequence[tuple[DeviceRecord, LiveState]]:
        await self._interruptions.point("last_reports.of_shard")
        known: list[tuple[DeviceRecord, LiveState]] = []
        for device in self._registry.all():
            if shard_of(device.device_id) == shard:
                state = self._newest_state(device)
                if state is not None:
                    known.append((device, state))
        return known

    def _store(self, row: HistoryRow) -> None:
        self.rows.append(row)
        self._by_stamp.setdefault((row.device_no, row.boot, row.seq), row)
        self._keys.add((row.device_no, row.boot, row.seq, row.at_ms))

    def _store_doubtful(self, doubtful: Sequence[HistoryRow]) -> Appended:
        doubled = 0
        reused: set[Stamp] = set()
        for row in doubtful:
            stamp = (row.device_no, row.boot, row.seq)
            stored = self._by_stamp.get(stamp)
            if stored is None:
                self._store(row)
            elif stored.frame == row.frame:
                doubled += 1
            else:
                reused.add(stamp)
                self.quarantined.append(_reused(row))
        return Appended(doubled, frozenset(reused))

    def _newest_state(self, device: DeviceRecord) -> LiveState | None:
        last = self.last_reports.get(device.device_no)
        base = None if last is None else last.state
        model = self._registry.model(device.model)
        rows = self.rows[self._not_read.get(device.device_no, 0) :]
        newer = [self._stamped(device, row) for row in rows if row.device_no == device.device_no]
        return fold(base, device, model, newer)

    def _stamped(self, device: DeviceRecord, row: HistoryRow) -> StampedReport:
        report = decode_report(row.frame)
        counts = count_slots(self._registry.model(device.model), report.slots)
        return StampedReport(
            report,
            row.boot,
            row.seq,
            row.at_ms,
            row.clock_suspect,
            row.received_ms,
            counts.units,
            counts.spaces,
            row.frame,
        )


def _reused(row: HistoryRow) -> QuarantinedFrame:
    where = f"device {row.device_no}, boot {row.boot}, seq {row.seq}"
    return QuarantinedFrame(DeviceId(""), "", "stamp_reused", where, row.received_ms, row.frame)
