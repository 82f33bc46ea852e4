"""What a correct full device does on the wire, sans-I/O: greet, number, keep, send again, come back, obey."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from firmware_protocol import codec, topics
from firmware_protocol.backoff import Backoff, Chance
from firmware_protocol.codec import Encoding
from firmware_protocol.commands import AckResult
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.effects import Connect, Effect, Publish, Subscribe
from firmware_protocol.errors import BadSeal, MalformedFrame
from firmware_protocol.kept_ring import KeptRing
from firmware_protocol.limits import KEPT_RING_SIZE
from firmware_protocol.messages import DeviceId, Hello, Report, ReportStamp
from firmware_protocol.numbering import Numbering, stamp_of
from firmware_protocol.obeying import Moment, Obeyed, Obeying

HELLO_FIRST_MS = 5_000
HELLO_CAP_MS = 240_000
"""With its jitter five minutes: a gateway that comes back meets its fleet spread out, yet soon."""
RECONNECT_FIRST_MS = 1_000
RECONNECT_CAP_MS = 240_000
STEADY_AFTER_MS = 60_000
"""A link that lived this long was a good one: the next reconnect starts with the first delay."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the device says it is, and in which encoding."""

    device_id: DeviceId
    model: str
    firmware: str = ""
    encoding: Encoding = Encoding.CBOR


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a device carries through a loss of power in its flash."""

    kept: tuple[tuple[ReportStamp, bytes], ...] = ()
    unstamped: tuple[Report, ...] = ()
    kept_lost: int = 0
    obeyed: Obeyed = field(default_factory=Obeyed)


class DeviceSession:
    """One power-on of one full device. Times are its monotonic milliseconds; effects are carried out in
    their order. The edge calls `woken` at `next_wakeup_ms` and asks again after every call."""

    def __init__(
        self,
        identity: Identity,
        chance: Chance,
        *,
        keys: Sequence[DeviceKey] = (),
        ring_size: int = KEPT_RING_SIZE,
        remembered: Remembered | None = None,
        now_ms: int = 0,
    ) -> None:
        device_id = identity.device_id
        self._identity: Final = identity
        self._hello_topic: Final = topics.hello_topic(device_id)
        self._report_topic: Final = topics.report_topic(device_id)
        self._welcome_topic: Final = topics.welcome_topic(device_id)
        self._receipt_topic: Final = topics.receipt_topic(device_id)
        self._command_topic: Final = topics.command_topic(device_id)
        self._numbering: Final = Numbering(chance, hold_at_most=ring_size)
        self._ring: Final = KeptRing(chance, size=ring_size)
        self._hello_backoff: Final = Backoff(chance, first_ms=HELLO_FIRST_MS, cap_ms=HELLO_CAP_MS)
        self._link_backoff: Final = Backoff(chance, first_ms=RECONNECT_FIRST_MS, cap_ms=RECONNECT_CAP_MS)
        self._link_since_ms: int | None = None
        self._reconnect_at_ms: int | None = None
        self._hello_again_ms: int | None = None
        self._newest_plain: bytes | None = None
        self._kept_lost = 0
        before = remembered or Remembered()
        self._obeying: Final = Obeying(device_id, keys, before.obeyed)
        self._restore(before, now_ms)

    @property
    def boot(self) -> int:
        """The boot number in use; 0 before the first welcome."""
        return self._numbering.boot

    @property
    def kept_lost(self) -> int:
        """Kept reports dropped because there was no room for them."""
        return self._kept_lost

    @property
    def unreceipted(self) -> int:
        """Kept reports without a receipt, stamped or not."""
        return len(self._ring) + sum(report.keep for report in self._numbering.held())

    @property
    def kept_stamps(self) -> frozenset[ReportStamp]:
        """Of the kept reports that are still here to be sent again."""
        return frozenset(stamp for stamp, _ in self._ring.frames())

    def remember(self) -> Remembered:
        """What to write to flash now, and to give to the next power-on."""
        unstamped = tuple(report for report in self._numbering.held() if report.keep)
        return Remembered(tuple(self._ring.frames()), unstamped, self._kept_lost, self._obeying.remember())

    def next_wakeup_ms(self) -> int | None:
        """When to call `woken`; None while only something from outside can happen."""
        if self._link_since_ms is None:
            return self._reconnect_at_ms
        times = (self._hello_at_ms(), self._ring.next_due_ms())
        return min((time for time in times if time is not None), default=None)

    def connected(self, now_ms: int) -> list[Effect]:
        """The link is up: subscribe, greet, and send what waits. A device with a boot does not wait."""
        self._link_since_ms = now_ms
        self._reconnect_at_ms = None
        self._hello_backoff.reset()
        listen = Subscribe((self._welcome_topic, self._receipt_topic, self._command_topic))
        return [listen, self._hello(now_ms), *self._obeying.unsent(), *self._waiting(now_ms)]

    def disconnected(self, now_ms: int) -> None:
        """The link is down, or could not be opened: sets the time to try again."""
        if self._link_since_ms is not None and now_ms - self._link_since_ms >= STEADY_AFTER_MS:
            self._link_backoff.reset()
        self._link_since_ms = None
        self._reconnect_at_ms = now_ms + self._link_backoff.next_delay_ms()

    def received(self, topic: str, payload: bytes, now_ms: int) -> list[Effect]:
        """Something was heard; what is malformed, badly sealed or meant for another power-on changes nothing."""
        try:
            if topic == self._welcome_topic:
                return self._welcomed(payload, now_ms)
            if topic == self._receipt_topic:
                self._ring.forget(codec.decode_receipt(payload).stamps)
            elif topic == self._command_topic and self._obeying.has_key:
                return self._obeying.heard(payload, self._moment(now_ms))
        except (MalformedFrame, BadSeal):
            return []
        return []

    def executed(
        self, command_id: bytes, result: AckResult, now_ms: int, *, reason: str | None = None
    ) -> list[Effect]:
        """The end of an Execute: EXECUTED, FAILED when the device's own sensors say that it did not work, or
        REFUSED when it did not even try. Without a link the answer goes out after the next connect."""
        effects = self._obeying.executed(command_id, result, reason, self._moment(now_ms))
        return effects if self._link_since_ms is None else [*effects, *self._obeying.unsent()]

    def rekey(self, keys: Sequence[DeviceKey], now_ms: int) -> list[Effect]:
        """The device was given new keys: it holds old and new while the gateway may use either."""
        self._obeying.rekey(keys)
        return [] if self._link_since_ms is None else [self._hello(now_ms)]

    def report(self, report: Report, now_ms: int) -> list[Effect]:
        """The device states itself. Stamp, elapsed time and `kept_lost` are filled in here. What cannot go
        out now is kept when it asks for it; of the others only the newest is held. A device with a key fills in
        `last_fence` too."""
        report = self._obeying.with_last_fences(report)
        if not self._numbering.boot:
            self._kept_lost += self._numbering.hold(report, now_ms)
            return []
        self._take(self._numbering.stamp(report, now_ms, self._kept_lost), now_ms)
        return self._waiting(now_ms)

    def woken(self, now_ms: int) -> list[Effect]:
        """A time that `next_wakeup_ms` named has come."""
        if self._link_since_ms is None:
            if self._reconnect_at_ms is None or now_ms < self._reconnect_at_ms:
                return []
            self._reconnect_at_ms = None
            return [Connect()]
        hello_at_ms = self._hello_at_ms()
        greeting = [] if hello_at_ms is None or now_ms < hello_at_ms else [self._hello(now_ms)]
        return [*greeting, *self._waiting(now_ms)]

    def _restore(self, remembered: Remembered, now_ms: int) -> None:
        self._kept_lost = remembered.kept_lost
        for stamp, frame in remembered.kept:
            self._kept_lost += self._ring.keep(stamp, frame, now_ms)
        for report in remembered.unstamped:
            self._kept_lost += self._numbering.hold(report, now_ms)

    def _hello_at_ms(self) -> int | None:
        """When to greet next on this link: again while unanswered, anew when boot number or time are old."""
        if self._hello_again_ms is not None:
            return self._hello_again_ms
        times = (self._numbering.stale_at_ms(), self._obeying.time_stale_at_ms())
        return min((time for time in times if time is not None), default=None)

    def _hello(self, now_ms: int) -> Publish:
        self._hello_again_ms = now_ms + self._hello_backoff.next_delay_ms()
        power_on_id = self._numbering.greet(now_ms)
        hello = Hello(power_on_id, self._identity.model, self._identity.firmware, now_ms)
        return Publish(self._hello_topic, codec.encode_hello(hello, encoding=self._identity.encoding), 1)

    def _moment(self, now_ms: int) -> Moment:
        number = self._numbering
        return Moment(now_ms, number.boot, number.elapsed_ms(now_ms), number.said_ms)

    def _welcomed(self, payload: bytes, now_ms: int) -> list[Effect]:
        # Who has a key trusts no welcome without a seal: its boot number and its time decide what is obeyed.
        opened = (
            self._obeying.open_welcome(payload) if self._obeying.has_key else codec.decode_welcome(payload)
        )
        if opened is None or not self._numbering.welcome(opened):
            return []
        self._hello_again_ms = None
        if self._obeying.welcomed(opened, now_ms):
            self._hello_backoff.reset()
        else:
            self._hello_again_ms = now_ms + self._hello_backoff.next_delay_ms()
        for report in self._numbering.stamp_held(self._kept_lost):
            self._take(report, now_ms)
        self._ring.all_due(now_ms)
        return self._waiting(now_ms)

    def _take(self, report: Report, now_ms: int) -> None:
        """From here on the frame never changes: the stamp stands for these bytes."""
        frame = codec.encode_report(report, encoding=self._identity.encoding)
        if report.keep:
            self._kept_lost += self._ring.keep(stamp_of(report), frame, now_ms)
        else:
            self._newest_plain = frame

    def _waiting(self, now_ms: int) -> list[Effect]:
        if self._link_since_ms is None:
            return []
        frames = self._ring.take_due(now_ms)
        if self._newest_plain is not None:
            frames.append(self._newest_plain)
            self._newest_plain = None
        return [Publish(self._report_topic, frame, 1) for frame in frames]
