"""What a fleet sent and what became of it: counts, latencies and each device's truth."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from math import ceil, log2

from device_sim.device import SimDevice
from device_sim.driver import Message
from device_sim.faults import FaultCounts
from device_sim.fleet import Fleet
from device_sim.peek import Label
from device_sim.profiles import Level
from device_sim.truth import DeviceTruth, Done, Stamp, TruthLog

NO_LISTENER = 16
"""MQTT 5 reason code: the broker took the message and had nobody to give it to."""


@dataclass(slots=True)
class Latencies:
    """Durations in buckets an eighth of an octave wide: percentiles within 9 %, in constant space."""

    count: int = 0
    _buckets: dict[int, int] = field(default_factory=dict)

    def add(self, took_s: float) -> None:
        bucket = ceil(8 * log2(max(took_s, 1e-6)))
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1
        self.count += 1

    def percentile_ms(self, share: float) -> float | None:
        """The upper edge of the bucket that holds the share; None before the first."""
        left = share * self.count
        for bucket in sorted(self._buckets):
            left -= self._buckets[bucket]
            if left <= 0:
                return round(float(2.0 ** (bucket / 8)) * 1000, 3)
        return None


@dataclass(slots=True)
class Summary:
    """A run in figures. Reports count once, however often they were sent again."""

    devices: int
    connected: int = 0
    seconds: float = 0.0
    sent: int = 0
    acked: int = 0
    """Confirmed by the broker."""
    kept: int = 0
    receipted: int = 0
    kept_outstanding: int = 0
    """Kept, sent, and without receipt."""
    kept_lost: int = 0
    """Dropped by devices whose ring was full."""
    unconfirmed: int = 0
    dropped: int = 0
    """Plain reports that never reached the broker: lost on the air, or no connection."""
    unheard: int = 0
    """The broker had nobody to give them to."""
    refused: int = 0
    """The broker refused them."""
    resent: int = 0
    welcomes: int = 0
    executed: int = 0
    """Commands carried out."""
    disconnects: int = 0
    refused_connects: int = 0
    faults: FaultCounts = field(default_factory=FaultCounts)
    overlapping_trips: int = 0
    jumped_trips: int = 0
    puback_p50_ms: float | None = None
    puback_p99_ms: float | None = None

    def as_json(self) -> dict[str, object]:
        return asdict(self)


class Ledger:
    """Books every report once per state: sent, confirmed or given up, receipted."""

    def __init__(self, fleet: Fleet, devices: list[SimDevice], log: TruthLog | None) -> None:
        self.summary = Summary(len(devices))
        self.latencies = Latencies()
        self.truths = [
            DeviceTruth(device.device_id, str(profile.kind), profile.level is Level.BASIC, device.skew_ms)
            for device, profile in zip(devices, fleet.profiles, strict=True)
        ]
        self._log = log
        self._unconfirmed = 0
        self._outstanding = 0

    def sent(self, device: int, label: Label, now_ms: int) -> None:
        """A report goes out, perhaps again."""
        truth = self.truths[device]
        stamp = (label.boot, label.seq)
        if stamp in truth.unconfirmed or stamp in truth.outstanding:
            self.summary.resent += 1
            return
        truth.unconfirmed.add(stamp)
        self._unconfirmed += 1
        self.summary.sent += 1
        if label.keep:
            truth.outstanding.add(stamp)
            self._outstanding += 1
            self.summary.kept += 1
        if self._log is not None:
            self._log.sent(truth.device_id, label, now_ms)

    def given_up(self, device: int, label: Label) -> None:
        """A plain report did not reach the broker and will not be sent again; kept ones will."""
        truth = self.truths[device]
        if not label.keep and (label.boot, label.seq) in truth.unconfirmed:
            self._no_longer_unconfirmed(truth, (label.boot, label.seq))
            self.summary.dropped += 1

    def confirmed(self, message: Message, label: Label, refusal: int, *, now_ms: int) -> None:
        """The broker spoke of a report: refusal 0 means that it has it."""
        truth = self.truths[message.device]
        stamp = (label.boot, label.seq)
        if stamp not in truth.unconfirmed:
            return
        if refusal:
            self.summary.unheard += refusal == NO_LISTENER
            self.summary.refused += refusal != NO_LISTENER
            if not label.keep:
                self._no_longer_unconfirmed(truth, stamp)
            return
        self._no_longer_unconfirmed(truth, stamp)
        self.summary.acked += 1
        if stamp > truth.newest_stamp:
            truth.newest_stamp = stamp
            truth.newest_frame = message.payload
        if self._log is not None:
            self._log.acked(truth.device_id, stamp, now_ms)

    def receipted(self, device: int, stamp: Stamp, now_ms: int) -> None:
        truth = self.truths[device]
        if stamp in truth.outstanding:
            truth.outstanding.discard(stamp)
            self._outstanding -= 1
            truth.receipted.add(stamp)
            self.summary.receipted += 1
            if self._log is not None:
                self._log.receipted(truth.device_id, stamp, now_ms)

    def _no_longer_unconfirmed(self, truth: DeviceTruth, stamp: Stamp) -> None:
        truth.unconfirmed.discard(stamp)
        self._unconfirmed -= 1

    def did(self, deeds: Sequence[Done]) -> None:
        """Commands were carried out."""
        self.summary.executed += len(deeds)
        if self._log is not None:
            for deed in deeds:
                self._log.executed(deed)

    def flush(self) -> None:
        if self._log is not None:
            self._log.flush()

    @property
    def open_count(self) -> int:
        """What is still awaited: confirmations and receipts."""
        return self._unconfirmed + self._outstanding

    def settled(self, devices: list[SimDevice]) -> Summary:
        """The summary with everything that is counted at the end."""
        summary = self.summary
        for truth, device in zip(self.truths, devices, strict=True):
            truth.kept_lost = device.kept_lost
            truth.unreceipted = device.unreceipted
            truth.in_ring = device.kept_stamps
        summary.kept_outstanding = self._outstanding
        summary.unconfirmed = self._unconfirmed
        summary.kept_lost = sum(device.kept_lost for device in devices)
        summary.puback_p50_ms = self.latencies.percentile_ms(0.50)
        summary.puback_p99_ms = self.latencies.percentile_ms(0.99)
        return summary
