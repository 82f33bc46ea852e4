"""One simulated device on the wire: what its life says becomes messages with stamps."""

from collections.abc import Sequence
from random import Random

from msgspec.structs import replace

from device_sim.driver import Message
from device_sim.peek import Label, label_of
from device_sim.profiles import Level, Profile
from firmware_protocol import codec, topics
from firmware_protocol.codec import Encoding
from firmware_protocol.device_session import DeviceSession, Identity
from firmware_protocol.effects import Effect, Publish
from firmware_protocol.messages import DeviceId, Report

MAX_UNCONFIRMED = 64
"""What a device sends again after a cut: more than its broker would have taken unconfirmed."""


class FullDevice:
    """A device whose firmware is the reference session; power can go and come back."""

    def __init__(
        self, number: int, device_id: DeviceId, profile: Profile, *, chance: Random, skew_ms: int
    ) -> None:
        self.number = number
        self.device_id = device_id
        self.skew_ms = skew_ms
        self.topics = (
            topics.welcome_topic(device_id),
            topics.receipt_topic(device_id),
            topics.command_topic(device_id),
        )
        self._report_topic = topics.report_topic(device_id)
        self._chance = chance
        encoding = Encoding.JSON if profile.json else Encoding.CBOR
        self._identity = Identity(device_id, profile.model, profile.firmware, encoding)
        self._session = DeviceSession(self._identity, chance)

    @property
    def kept_lost(self) -> int:
        return self._session.kept_lost

    def connected(self, now_ms: int) -> list[Message]:
        return self._messages(self._session.connected(now_ms))

    def disconnected(self, now_ms: int) -> None:
        # When to dial again is the driver's: it paces thousands of devices that share one machine.
        self._session.disconnected(now_ms)

    def say(self, report: Report, now_ms: int, *, unix_ms: int) -> list[Message]:
        """`now_ms` is the device's monotonic time, `unix_ms` what a right clock would show."""
        if self.skew_ms:
            report = replace(report, reported_at_ms=unix_ms + self.skew_ms)
        return self._messages(self._session.report(report, now_ms))

    def heard(self, topic: str, payload: bytes, now_ms: int) -> list[Message]:
        return self._messages(self._session.received(topic, payload, now_ms))

    def woken(self, now_ms: int) -> list[Message]:
        return self._messages(self._session.woken(now_ms))

    def next_wakeup_ms(self) -> int | None:
        return self._session.next_wakeup_ms()

    def reboot(self, now_ms: int) -> None:
        """A loss of power: only what stood in flash survives."""
        remembered = self._session.remember()
        self._session = DeviceSession(self._identity, self._chance, remembered=remembered, now_ms=now_ms)

    def _messages(self, effects: Sequence[Effect]) -> list[Message]:
        return [self._message(effect) for effect in effects if isinstance(effect, Publish)]

    def _message(self, publish: Publish) -> Message:
        if publish.topic != self._report_topic:
            return Message(self.number, publish.topic, publish.payload, None)
        return Message(self.number, publish.topic, publish.payload, label_of(publish.payload))


class BasicDevice:
    """A device that only reports, numbered by Unix time; it holds the newest report while it is offline."""

    kept_lost = 0
    topics: tuple[str, ...] = ()

    def __init__(self, number: int, device_id: DeviceId, profile: Profile, *, skew_ms: int) -> None:
        self.number = number
        self.device_id = device_id
        self.skew_ms = skew_ms
        self._topic = topics.report_topic(device_id)
        self._encoding = Encoding.JSON if profile.json else Encoding.CBOR
        self._last_seq = 0
        self._online = False
        self._held: Message | None = None

    def connected(self, now_ms: int) -> list[Message]:
        self._online = True
        held, self._held = self._held, None
        return [] if held is None else [held]

    def disconnected(self, now_ms: int) -> None:
        self._online = False

    def say(self, report: Report, now_ms: int, *, unix_ms: int) -> list[Message]:
        self._last_seq = max(self._last_seq + 1, unix_ms)
        stamped = replace(report, seq=self._last_seq, keep=False, reported_at_ms=unix_ms + self.skew_ms)
        frame = codec.encode_report(stamped, encoding=self._encoding)
        message = Message(self.number, self._topic, frame, Label(0, self._last_seq, False))
        if self._online:
            return [message]
        self._held = message
        return []

    def heard(self, topic: str, payload: bytes, now_ms: int) -> list[Message]:
        return []

    def woken(self, now_ms: int) -> list[Message]:
        return []

    def next_wakeup_ms(self) -> int | None:
        return None

    def reboot(self, now_ms: int) -> None:
        """Its counter lives in flash; only the held report is lost."""
        self._held = None


SimDevice = FullDevice | BasicDevice


def build_device(
    number: int, device_id: DeviceId, profile: Profile, *, chance: Random, skew_ms: int = 0
) -> SimDevice:
    """The device with the firmware of its model."""
    if profile.level is Level.BASIC:
        return BasicDevice(number, device_id, profile, skew_ms=skew_ms)
    return FullDevice(number, device_id, profile, chance=chance, skew_ms=skew_ms)
