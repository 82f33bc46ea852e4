"""One simulated device under orders: its conductor, its air, and a gateway's key to sign with."""

from io import StringIO
from random import Random
from typing import NamedTuple

from device_sim.bike import Bike
from device_sim.conductor import Conductor
from device_sim.device import FullDevice, build_device
from device_sim.faults import PROFILES, Weather
from device_sim.fleet import build_fleet
from device_sim.ledger import Ledger
from device_sim.misbehaviour import Misbehaviour
from device_sim.profiles import Kind, Level
from device_sim.truth import TruthLog
from firmware_protocol import codec, topics
from firmware_protocol.commands import Command, CommandKind
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.messages import Report, Welcome
from firmware_protocol.signature import sign_command, sign_welcome, verify_ack
from tests.unit.device_sim.test_conductor import Air

BOOT = 1_700_000_000
KEY = DeviceKey(1, bytes(range(32)))


class Answer(NamedTuple):
    """An ack as it left."""

    at_ms: int
    result: str
    reason: str | None


class SignedStage:
    """Welcomed under boot number BOOT, whose second is also the first of the stage's clock."""

    def __init__(self, misbehaviour: Misbehaviour | None = None, kind: Kind = Kind.BIKE) -> None:
        fleet = next(
            fleet
            for seed in range(100)
            if (fleet := build_fleet(1, seed=seed, secret=b"s", mix={kind: 1})).profiles[0].level
            is Level.FULL
        )
        self.device_id = fleet.device_ids[0]
        profile = fleet.profiles[0]
        device = build_device(
            0, self.device_id, profile, chance=Random(1), keys=(KEY,), misbehaviour=misbehaviour
        )
        assert isinstance(device, FullDevice)
        self.device = device
        self.world = fleet.world(starts_ms=BOOT * 1000)
        self.life = self.world.lives[0]
        if isinstance(self.life, Bike):
            self.life.end_ride(BOOT * 1000, Random(1))
            self.life.service(BOOT * 1000)
        self.log = StringIO()
        self.ledger = Ledger(fleet, [device], TruthLog(self.log))
        weather = Weather(PROFILES["none"], Random(2))
        self.conductor = Conductor(self.world, [device], weather=weather, ledger=self.ledger)
        self.conductor.obey(Random(3), life_speed=1.0)
        self.air = self.conductor.driver = Air()
        self.now_ms = 0
        self.boot = BOOT - 1
        self.answers: list[Answer] = []
        self.reports: list[Report] = []
        self.commands = 0
        self.pass_ms(10)
        self.welcome()

    def pass_ms(self, passed_ms: int) -> None:
        """In steps of a tick; what left the device meanwhile is sorted."""
        end_ms = self.now_ms + passed_ms
        while self.now_ms < end_ms:
            self.now_ms = min(end_ms, self.now_ms + 10)
            unix_ms = BOOT * 1000 + self.now_ms
            self.conductor.tick(self.now_ms, unix_ms, life_until_ms=unix_ms)
            self._sort()

    def welcome(self) -> None:
        """Connected, and under the next boot number."""
        self.boot += 1
        self.conductor.connected(0)
        hello_topic = topics.hello_topic(self.device_id)
        hello = codec.decode_hello([one for one in self.air.sent if one.topic == hello_topic][-1].payload)
        answer = Welcome(hello.power_on_id, self.boot, BOOT * 1000 + self.now_ms, hello.hello_sent_ms)
        frame = sign_welcome(answer, device_id=self.device_id, key=KEY)
        self.conductor.delivered(0, topics.welcome_topic(self.device_id), frame)
        self._sort()

    def order(
        self, kind: CommandKind = CommandKind.UNLOCK, *, slot: int = 0, ttl_s: int = 10, fence: int = 0
    ) -> bytes:
        """A signed frame, not yet delivered; each is a new command with a higher fence."""
        self.commands += 1
        not_after_s = BOOT + self.now_ms // 1000 + ttl_s
        command_id = self.commands.to_bytes(16, "big")
        command = Command(command_id, self.boot, fence or self.commands, not_after_s, kind, slot)
        return sign_command(command, device_id=self.device_id, key=KEY)

    def hears(self, frame: bytes) -> None:
        self.conductor.delivered(0, topics.command_topic(self.device_id), frame)
        self._sort()

    def obeys(self, frame: bytes, passed_ms: int = 2_000) -> list[tuple[str, str | None]]:
        """Hears it, and has time: the answers since."""
        before = len(self.answers)
        self.hears(frame)
        self.pass_ms(passed_ms)
        return [(answer.result, answer.reason) for answer in self.answers[before:]]

    @property
    def openings(self) -> int:
        assert isinstance(self.life, Bike)
        return self.life.openings

    @property
    def last_fence(self) -> int:
        """As the newest report says."""
        lock = self.reports[-1].lock
        assert lock is not None
        return lock.last_fence

    def _sort(self) -> None:
        sent, self.air.sent = self.air.sent, []
        for message in sent:
            if message.topic == topics.ack_topic(self.device_id):
                ack = verify_ack(message.payload, device_id=self.device_id, keys=(KEY,))
                self.answers.append(Answer(self.now_ms, ack.result.name.lower(), ack.reason))
            elif message.topic == topics.report_topic(self.device_id):
                self.reports.append(codec.decode_report(message.payload))
            else:
                self.air.sent.append(message)
