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
        self._copies: dict[tuple[int, Stamp], int] = {}
        """Of plain reports that the air doubled: how many are still on their way."""
        self._frames: dict[tuple[int, Stamp], bytes] = {}
        """Of kept reports that are not confirmed: a receipt names only the stamp."""

    def sent(self, message: Message, label: Label, now_ms: int, *, copies: int = 1) -> None:
        """A report goes out, perhaps again; each copy of a plain one is to be confirmed, given up or sent again."""
        device = message.device
        truth = self.truths[device]
        stamp = (label.boot, label.seq)
        known = stamp in truth.unconfirmed or stamp in truth.outstanding or (device, stamp) in self._copies
        if not label.keep:
            self._add_copies(device, stamp, copies)
        if known:
            self.summary.resent += 1
            return
        truth.unconfirmed.add(stamp)
        self._unconfirmed += 1
        self.summary.sent += 1
        if label.keep:
            truth.outstanding.add(stamp)
            self._outstanding += 1
            self.summary.kept += 1
            self._frames[device, stamp] = message.payload
        if self._log is not None:
            self._log.sent(truth.device_id, label, now_ms)

    def given_up(self, device: int, label: Label) -> None:
        """A copy of a plain report did not reach the broker and will not be sent again; kept ones will."""
        stamp = (label.boot, label.seq)
        if label.keep or not self._was_last_copy(device, stamp):
            return
        if stamp in self.truths[device].unconfirmed:
            self._no_longer_unconfirmed(device, stamp)
            self.summary.dropped += 1

    def confirmed(self, message: Message, label: Label, refusal: int, *, now_ms: int) -> None:
        """The broker spoke of a report: refusal 0 means that it has it."""
        truth = self.truths[message.device]
        stamp = (label.boot, label.seq)
        was_last = label.keep or self._was_last_copy(message.device, stamp)
        if stamp not in truth.unconfirmed:
            return
        if not refusal:
            self._arrived(message.device, stamp, message.payload, now_ms)
        elif was_last:
            self.summary.unheard += refusal == NO_LISTENER
            self.summary.refused += refusal != NO_LISTENER
            if not label.keep:
                self._no_longer_unconfirmed(message.device, stamp)

    def receipted(self, device: int, stamp: Stamp, now_ms: int) -> None:
        """The gateway has it, so the broker had it too, though its word on that may have been cut off."""
        truth = self.truths[device]
        if stamp in truth.unconfirmed and (device, stamp) in self._frames:
            self._arrived(device, stamp, self._frames[device, stamp], now_ms)
        if stamp in truth.outstanding:
            truth.outstanding.discard(stamp)
            self._outstanding -= 1
            truth.receipted.add(stamp)
            self.summary.receipted += 1
            if self._log is not None:
                self._log.receipted(truth.device_id, stamp, now_ms)

    def _arrived(self, device: int, stamp: Stamp, frame: bytes, now_ms: int) -> None:
        truth = self.truths[device]
        self._no_longer_unconfirmed(device, stamp)
        self.summary.acked += 1
        if stamp > truth.newest_stamp:
            truth.newest_stamp = stamp
            truth.newest_frame = frame
        if self._log is not None:
            self._log.acked(truth.device_id, stamp, now_ms)

    def _no_longer_unconfirmed(self, device: int, stamp: Stamp) -> None:
        self.truths[device].unconfirmed.discard(stamp)
        self._frames.pop((device, stamp), None)
        self._unconfirmed -= 1

    def _add_copies(self, device: int, stamp: Stamp, copies: int) -> None:
        """What goes again after a cut counted until now: it is that copy."""
        key = (device, stamp)
        if copies > 1 or key in self._copies:
            self._copies[key] = self._copies.get(key, 1) + copies - 1

    def _was_last_copy(self, device: int, stamp: Stamp) -> bool:
        """One copy is at its end; False when others are still on their way."""
        left = self._copies.pop((device, stamp), 1) - 1
        if left:
            self._copies[device, stamp] = left
        return not left

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
