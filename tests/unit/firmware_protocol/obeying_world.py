"""A device that obeys, with hardware and flash, and a gateway whose every frame may come at any time, and again."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from firmware_protocol import codec, topics
from firmware_protocol.commands import FENCED, Ack, AckResult, Command, CommandKind
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.device_session import DeviceSession, Identity, Remembered
from firmware_protocol.effects import Effect, Execute, Publish, Remember
from firmware_protocol.messages import Bolt, DeviceId, Lock, Report, Welcome
from firmware_protocol.signature import sign_command, sign_welcome, verify_ack

DEVICE = DeviceId("bike-000123")
KEY, NEXT_KEY = DeviceKey(7, b"k" * 32), DeviceKey(8, b"n" * 32)
EPOCH_MS = 1_790_000_000_000

HELLO, WELCOME, COMMAND, ACK = (
    build(DEVICE)
    for build in (topics.hello_topic, topics.welcome_topic, topics.command_topic, topics.ack_topic)
)


@dataclass
class Deed:
    """One physical act."""

    command: Command
    at_ms: int
    stated_ms: int
    """The latest time of any report under the same boot number, made before it."""


@dataclass
class ObeyingWorld:
    """Time is the gateway's, in Unix milliseconds; the device counts its own, wrongly, from each power-on."""

    chance: Random
    slow_ppm: int = 0
    keys: tuple[DeviceKey, ...] = (KEY,)
    true_ms: int = EPOCH_MS
    boot: int = 0
    fence: int = 0
    boots: dict[int, int] = field(default_factory=dict)
    hellos: list[bytes] = field(default_factory=list)
    downward: list[tuple[str, bytes]] = field(default_factory=list)
    deeds: list[Deed] = field(default_factory=list)
    acks: list[Ack] = field(default_factory=list)
    executing: list[Command] = field(default_factory=list)
    flash: Remembered = field(default_factory=Remembered)
    openings: int = 0
    stated: dict[int, int] = field(default_factory=dict)
    """By boot number, the latest time that any report says."""
    dies_after: int | None = None
    """Power goes when so many more effects were carried out."""

    def __post_init__(self) -> None:
        self._power_on_ms = self.true_ms
        self.session = self._fresh()
        self.connect()

    # --- the device ----------------------------------------------------------------------------------

    @property
    def now_ms(self) -> int:
        """On the device's own clock."""
        real_ms = self.true_ms - self._power_on_ms
        return real_ms - real_ms * self.slow_ppm // 10**6

    def _fresh(self) -> DeviceSession:
        chance = Random(self.chance.random())
        return DeviceSession(Identity(DEVICE, "bike-x1"), chance, keys=self.keys, remembered=self.flash)

    def connect(self) -> None:
        self.carry_out(self.session.connected(self.now_ms))

    def cut(self) -> None:
        self.session.disconnected(self.now_ms)
        self.connect()

    def lose_power(self, *, with_flash: bool) -> None:
        self.dies_after = None
        self.executing.clear()
        if not with_flash:
            self.flash = Remembered()
        self._power_on_ms = self.true_ms
        self.session = self._fresh()
        self.connect()

    def carry_out(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if self.dies_after is not None:
                if self.dies_after <= 0:
                    self.lose_power(with_flash=True)
                    return
                self.dies_after -= 1
            match effect:
                case Remember():
                    self.flash = self.session.remember()
                case Execute(command):
                    self.deeds.append(Deed(command, self.true_ms, self.stated.get(command.boot, 0)))
                    self.executing.append(command)
                    self.openings += 1
                case Publish(topic, payload) if topic == ACK:
                    self.acks.append(verify_ack(payload, device_id=DEVICE, keys=(NEXT_KEY, KEY)))
                case Publish(topic, payload) if topic == HELLO:
                    self.hellos.append(payload)

    def finish(self, result: AckResult = AckResult.EXECUTED, *, reason: str | None = None) -> None:
        command = self.executing.pop(0)
        self.carry_out(self.session.executed(command.command_id, result, self.now_ms, reason=reason))

    def tick(self, ms: int) -> None:
        self.true_ms += ms
        wake_ms = self.session.next_wakeup_ms()
        if wake_ms is not None and wake_ms <= self.now_ms:
            self.carry_out(self.session.woken(self.now_ms))

    def reported(self) -> Report:
        """What a report says now, once it is on the wire."""
        said = Report(keep=True, lock=Lock(Bolt.OPEN, openings=self.openings))
        frames = [
            effect.payload
            for effect in self.session.report(said, self.now_ms)
            if isinstance(effect, Publish) and effect.topic == topics.report_topic(DEVICE)
        ]
        report = codec.decode_report(frames[-1])
        at_ms = report.boot * 1000 + (report.elapsed_ms or 0)
        self.stated[report.boot] = max(at_ms, self.stated.get(report.boot, 0))
        return report

    # --- the gateway and the network -----------------------------------------------------------------

    def hear_hello(self, which: int = -1) -> bytes:
        """The gateway answers one of all the hellos that were ever said, now."""
        hello = codec.decode_hello(self.hellos[which])
        if hello.power_on_id not in self.boots:
            self.boot = max(self.boot + 1, self.true_ms // 1000)
            self.boots[hello.power_on_id] = self.boot
        boot = self.boots[hello.power_on_id]
        welcome = Welcome(hello.power_on_id, boot, self.true_ms, hello.hello_sent_ms)
        frame = sign_welcome(welcome, device_id=DEVICE, key=self.keys[0])
        self.downward.append((WELCOME, frame))
        return frame

    def issue(self, kind: CommandKind, *, slot: int = 0, ttl_s: int = 10, key: DeviceKey = KEY) -> Command:
        self.fence += 1
        not_after_s = (self.true_ms // 1000) + ttl_s
        command = Command(self.chance.randbytes(16), max(1, self.boot), self.fence, not_after_s, kind, slot)
        self.downward.append((COMMAND, sign_command(command, device_id=DEVICE, key=key)))
        return command

    def deliver(self, which: int = -1) -> list[Ack]:
        """One of all the frames that were ever sent down; the acks it brought."""
        said = len(self.acks)
        topic, frame = self.downward[which]
        self.carry_out(self.session.received(topic, frame, self.now_ms))
        return self.acks[said:]

    def welcome(self) -> None:
        self.hear_hello()
        self.deliver()

    # --- the laws ------------------------------------------------------------------------------------

    def check(self) -> None:
        """No deed twice, late, or with an old fence; no refusal that was not true."""
        ids = [deed.command.command_id for deed in self.deeds]
        assert len(ids) == len(set(ids)), "executed twice"
        fences: dict[int, int] = {}
        for deed in self.deeds:
            command = deed.command
            assert deed.at_ms < command.not_after_s * 1000, "executed late"
            assert deed.stated_ms < command.not_after_s * 1000, "a report proves that it was not"
            if command.kind in FENCED:
                assert command.fence > fences.get(command.slot, 0), "executed with an old fence"
                fences[command.slot] = command.fence
        done = {deed.command.command_id for deed in self.deeds}
        refused = {
            ack.command_id
            for ack in self.acks
            if ack.result is AckResult.REFUSED and ack.reason in ("expired", "old_fence")
        }
        assert not done & refused, "refused, yet executed"
