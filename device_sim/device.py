"""One simulated device on the wire: what its life says becomes messages with stamps, what it hears becomes orders."""

import dataclasses
from collections.abc import Sequence
from enum import Enum
from random import Random
from typing import NamedTuple

from msgspec.structs import replace

from device_sim.driver import Message
from device_sim.misbehaviour import LATE_ACK_MS, Misbehaviour
from device_sim.peek import Label, label_of
from device_sim.profiles import Level, Profile
from device_sim.truth import Stamp
from firmware_protocol import codec, topics
from firmware_protocol.codec import Encoding
from firmware_protocol.commands import Ack, AckResult, Command, CommandKind
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.device_session import DeviceSession, Identity
from firmware_protocol.effects import Effect, Execute, Publish
from firmware_protocol.errors import BadSeal, MalformedFrame
from firmware_protocol.messages import DeviceId, Report
from firmware_protocol.obeying import Obeyed
from firmware_protocol.signature import sign_ack, verify_command

MAX_UNCONFIRMED = 64
"""What a device sends again after a cut: more than its broker would have taken unconfirmed."""


_ONE_SHOTS = frozenset({CommandKind.UNLOCK, CommandKind.EJECT, CommandKind.OPEN_SLOT})


class Heard(Enum):
    """How a command came to be carried out."""

    ANEW = 1
    AGAIN = 2
    """A copy of one that was carried out; only bad firmware does so."""
    LATE = 3
    """Bad firmware again: it never asked what time it is."""


class Order(NamedTuple):
    """A command that the device is going to carry out."""

    command: Command
    heard: Heard


class FullDevice:
    """A device whose firmware is the reference session, but for its misbehaviour; power can go and come back."""

    def __init__(
        self,
        number: int,
        device_id: DeviceId,
        profile: Profile,
        *,
        chance: Random,
        skew_ms: int,
        keys: Sequence[DeviceKey] = (),
        misbehaviour: Misbehaviour | None = None,
    ) -> None:
        self.misbehaviour = misbehaviour
        self.power_ons = 1
        self._keys = tuple(keys)
        self._orders: list[Order] = []
        self._late_fences: dict[int, int] = {}
        self._known: set[bytes] = set()
        self.number = number
        self.device_id = device_id
        self.skew_ms = skew_ms
        self.topics = (
            topics.welcome_topic(device_id),
            topics.receipt_topic(device_id),
            topics.command_topic(device_id),
        )
        self._report_topic = topics.report_topic(device_id)
        self._ack_topic = topics.ack_topic(device_id)
        self._command_topic = topics.command_topic(device_id)
        self._chance = chance
        encoding = Encoding.JSON if profile.json else Encoding.CBOR
        self._identity = Identity(device_id, profile.model, profile.firmware, encoding)
        self._session = DeviceSession(self._identity, chance, keys=self._keys)

    @property
    def kept_lost(self) -> int:
        return self._session.kept_lost

    @property
    def unreceipted(self) -> int:
        """Kept reports it still answers for, those that never left it among them."""
        return self._session.unreceipted

    @property
    def kept_stamps(self) -> frozenset[Stamp]:
        return frozenset((stamp.boot, stamp.seq) for stamp in self._session.kept_stamps)

    def connected(self, now_ms: int) -> list[Message]:
        return self._messages(self._session.connected(now_ms))

    def disconnected(self, now_ms: int) -> None:
        # When to dial again is the driver's: it paces thousands of devices that share one machine.
        self._session.disconnected(now_ms)

    def say(self, report: Report, now_ms: int, *, unix_ms: int) -> list[Message]:
        """`now_ms` is the device's monotonic time, `unix_ms` what a right clock would show."""
        if self.skew_ms:
            report = replace(report, reported_at_ms=unix_ms + self.skew_ms)
        if self._late_fences:
            report = self._with_late_fences(report)
        return self._messages(self._session.report(report, now_ms))

    def heard(self, topic: str, payload: bytes, now_ms: int) -> list[Message]:
        """What it answers at once; what it is going to do about it, `take_orders` has."""
        if topic != self._command_topic or not self._keys:
            return self._messages(self._session.received(topic, payload, now_ms))
        if self.misbehaviour is Misbehaviour.IGNORES_EXPIRY:
            command = self._verified(payload)
            if command is not None and command.kind in _ONE_SHOTS:
                if command.command_id not in self._known:
                    self._known.add(command.command_id)
                    self._orders.append(Order(command, Heard.LATE))
                return []
        effects = self._session.received(topic, payload, now_ms)
        fresh = [effect.command for effect in effects if isinstance(effect, Execute)]
        self._orders += [Order(command, Heard.ANEW) for command in fresh]
        if self.misbehaviour is Misbehaviour.EXECUTES_DUPLICATES:
            self._known.update(command.command_id for command in fresh)
            command = None if fresh else self._verified(payload)
            if command is not None and command.command_id in self._known:
                self._orders.append(Order(command, Heard.AGAIN))
        return self._messages(effects)

    def take_orders(self) -> list[Order]:
        """What it has to carry out since the last call."""
        orders, self._orders = self._orders, []
        return orders

    def executed(
        self, command_id: bytes, result: AckResult, reason: str | None, now_ms: int
    ) -> list[Message]:
        """An order ended so."""
        return self._messages(self._session.executed(command_id, result, now_ms, reason=reason))

    def executed_late(self, command: Command, unix_ms: int) -> list[Message]:
        """An order that the session would have refused was carried out at that time."""
        self._late_fences[command.slot] = command.fence
        boot = self._session.boot
        elapsed_ms = max(0, unix_ms - boot * 1000)
        ack = Ack(
            command.command_id, AckResult.EXECUTED, boot, command.fence, command.slot, elapsed_ms=elapsed_ms
        )
        frame = sign_ack(ack, device_id=self.device_id, key=self._keys[0])
        return self._messages([Publish(self._ack_topic, frame, 1)])

    def woken(self, now_ms: int) -> list[Message]:
        return self._messages(self._session.woken(now_ms))

    def next_wakeup_ms(self) -> int | None:
        return self._session.next_wakeup_ms()

    def reboot(self, now_ms: int, *, forgets: bool = False) -> None:
        """A loss of power: only what stood in flash survives, and not even that of commands if it `forgets`."""
        remembered = self._session.remember()
        if forgets:
            remembered = dataclasses.replace(remembered, obeyed=Obeyed())
        self.power_ons += 1
        self._orders.clear()
        self._session = DeviceSession(
            self._identity, self._chance, keys=self._keys, remembered=remembered, now_ms=now_ms
        )

    def _verified(self, payload: bytes) -> Command | None:
        """A command for this power-on under a good seal."""
        try:
            command = verify_command(payload, device_id=self.device_id, keys=self._keys)
        except (MalformedFrame, BadSeal):
            return None
        return command if command.boot == self._session.boot else None

    def _with_late_fences(self, report: Report) -> Report:
        lock = report.lock
        if lock is not None:
            lock = replace(lock, last_fence=self._late_fences.get(0, 0))
        slots = tuple(
            replace(slot, last_fence=self._late_fences.get(slot.number, 0)) for slot in report.slots
        )
        return replace(report, lock=lock, slots=slots)

    def _messages(self, effects: Sequence[Effect]) -> list[Message]:
        found: list[Message] = []
        for effect in effects:
            if isinstance(effect, Publish):
                found += [self._message(effect)] if effect.topic != self._ack_topic else self._acks(effect)
        return found

    def _acks(self, publish: Publish) -> list[Message]:
        message = Message(self.number, publish.topic, publish.payload, None)
        match self.misbehaviour:
            case Misbehaviour.OPENS_WITHOUT_ACK:
                return []
            case Misbehaviour.ACKS_TWICE:
                return [message, message]
            case Misbehaviour.ACKS_LATE:
                return [message._replace(after_ms=self._chance.randint(*LATE_ACK_MS))]
        return [message]

    def _message(self, publish: Publish) -> Message:
        if publish.topic != self._report_topic:
            return Message(self.number, publish.topic, publish.payload, None)
        return Message(self.number, publish.topic, publish.payload, label_of(publish.payload))


class BasicDevice:
    """A device that only reports, numbered by Unix time; it holds the newest report while it is offline."""

    kept_lost = 0
    unreceipted = 0
    kept_stamps: frozenset[Stamp] = frozenset()
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

    def reboot(self, now_ms: int, *, forgets: bool = False) -> None:
        """Its counter lives in flash; only the held report is lost."""
        self._held = None


SimDevice = FullDevice | BasicDevice


def build_device(
    number: int,
    device_id: DeviceId,
    profile: Profile,
    *,
    chance: Random,
    skew_ms: int = 0,
    keys: Sequence[DeviceKey] = (),
    misbehaviour: Misbehaviour | None = None,
) -> SimDevice:
    """The device with the firmware of its model; a basic one can use no key."""
    if profile.level is Level.BASIC:
        return BasicDevice(number, device_id, profile, skew_ms=skew_ms)
    return FullDevice(
        number, device_id, profile, chance=chance, skew_ms=skew_ms, keys=keys, misbehaviour=misbehaviour
    )
