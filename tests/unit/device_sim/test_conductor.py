"""Laws of who says what, when, and what becomes of it."""

from dataclasses import dataclass, field
from random import Random

from device_sim.conductor import Conductor
from device_sim.device import build_device
from device_sim.driver import Message
from device_sim.faults import PROFILES, FaultProfile, Weather
from device_sim.fleet import build_fleet
from device_sim.ledger import Ledger
from device_sim.profiles import Kind
from firmware_protocol import codec, topics
from firmware_protocol.codec import Encoding
from firmware_protocol.messages import Receipt, ReportStamp, Welcome

START_MS = 1_000_000


@dataclass
class Air:
    """A driver that keeps what it is given."""

    online: bool = True
    sent: list[Message] = field(default_factory=list)
    cuts: list[tuple[int, float]] = field(default_factory=list)
    connected_count: int = 0
    refused_count: int = 0

    async def run(self) -> None:
        raise AssertionError("nobody runs it")

    def publish(self, message: Message) -> bool:
        if self.online:
            self.sent.append(message)
        return self.online

    def cut(self, device: int, *, for_s: float) -> bool:
        self.cuts.append((device, for_s))
        return True


class Stage:
    """A small fleet of full bikes with its conductor, its air and its clock."""

    def __init__(self, profile: FaultProfile, devices: int = 4) -> None:
        fleet = build_fleet(devices, seed=1, secret=b"s", mix={Kind.CABINET: 1})
        self.ids = fleet.device_ids
        self.devices = [
            build_device(n, fleet.device_ids[n], fleet.profiles[n], chance=Random(n)) for n in range(devices)
        ]
        self.weather = Weather(profile, Random(2))
        self.ledger = Ledger(fleet, self.devices, None)
        self.world = fleet.world(starts_ms=START_MS)
        self.conductor = Conductor(self.world, self.devices, weather=self.weather, ledger=self.ledger)
        self.air = Air()
        self.conductor.driver = self.air
        self.now_ms = 0
        self.pass_ms(10, lives=False)

    def pass_ms(self, passed_ms: int, *, lives: bool = True) -> None:
        self.now_ms += passed_ms
        until_ms = START_MS + self.now_ms if lives else None
        self.conductor.tick(self.now_ms, START_MS + self.now_ms, life_until_ms=until_ms)

    def welcome(self, device: int) -> None:
        self.conductor.connected(device)
        device_id = self.ids[device]
        hello = [sent for sent in self.air.sent if sent.topic == topics.hello_topic(device_id)][-1]
        answer = Welcome(codec.decode_hello(hello.payload).power_on_id, 1_700_000_000, 1_700_000_000_000)
        frame = codec.encode_welcome(answer, encoding=Encoding.CBOR)
        self.conductor.delivered(device, topics.welcome_topic(device_id), frame)

    def confirm_all(self) -> None:
        for message in self.air.sent:
            self.conductor.confirmed(message, 0.001, 0)

    def receipt(self, device: int, *stamps: tuple[int, int]) -> None:
        frame = codec.encode_receipt(
            Receipt(tuple(ReportStamp(*stamp) for stamp in stamps)), encoding=Encoding.CBOR
        )
        self.conductor.delivered(device, topics.receipt_topic(self.ids[device]), frame)


def test_a_device_reports_as_soon_as_it_is_welcomed() -> None:
    stage = Stage(PROFILES["none"])
    stage.welcome(0)
    assert [message.label is not None for message in stage.air.sent] == [False, True]
    assert stage.ledger.summary.sent == 1
    assert stage.ledger.summary.welcomes == 1


def test_a_kept_report_is_sent_again_until_it_is_receipted() -> None:
    stage = Stage(PROFILES["none"], devices=1)
    stage.welcome(0)
    stage.conductor.last_words()
    stage.confirm_all()
    assert stage.ledger.summary.kept == 1
    for _ in range(60):
        stage.pass_ms(1_000, lives=False)
    assert stage.ledger.summary.resent >= 1
    (stamp,) = stage.ledger.truths[0].outstanding
    stage.receipt(0, stamp, (9, 9))
    assert stage.ledger.summary.receipted == 1
    assert stage.ledger.open_count == 0
    resent = stage.ledger.summary.resent
    for _ in range(1_200):
        stage.pass_ms(1_000, lives=False)
    assert stage.ledger.summary.resent == resent


def test_plain_reports_that_were_out_go_again_after_a_cut() -> None:
    stage = Stage(PROFILES["none"], devices=1)
    stage.welcome(0)
    (plain,) = [message for message in stage.air.sent if message.label]
    stage.conductor.disconnected(0, [plain])
    stage.air.sent.clear()
    stage.welcome(0)
    assert plain in stage.air.sent
    assert stage.ledger.summary.sent == 1
    assert stage.ledger.summary.disconnects == 1


def test_lost_frames_are_given_up_and_late_ones_come_later() -> None:
    lossy = Stage(FaultProfile(loss=1.0), devices=1)
    lossy.conductor.connected(0)
    assert lossy.air.sent == []
    late = Stage(FaultProfile(delay=1.0, max_delay_s=5.0), devices=1)
    late.conductor.connected(0)
    assert late.air.sent == []
    assert late.conductor.delayed_count == 1
    late.pass_ms(5_001, lives=False)
    assert late.conductor.delayed_count == 0
    assert len(late.air.sent) >= 1


def test_a_doubled_frame_arrives_twice_and_counts_once() -> None:
    stage = Stage(FaultProfile(duplicate=1.0, max_delay_s=1.0), devices=1)
    stage.welcome(0)
    stage.pass_ms(1_001, lives=False)
    reports = [message for message in stage.air.sent if message.label]
    assert len(reports) == 2
    assert reports[0] == reports[1]
    assert (stage.ledger.summary.sent, stage.ledger.summary.resent) == (1, 0)


def test_a_doubled_frame_whose_copy_finds_no_line_is_not_given_up() -> None:
    stage = Stage(FaultProfile(duplicate=1.0, max_delay_s=1.0), devices=1)
    stage.welcome(0)
    (first,) = [message for message in stage.air.sent if message.label]
    stage.air.online = False
    stage.pass_ms(1_001, lives=False)
    assert (stage.ledger.summary.dropped, stage.ledger.open_count) == (0, 1)
    stage.conductor.confirmed(first, 0.001, 0)
    assert (stage.ledger.summary.acked, stage.ledger.open_count) == (1, 0)


def test_without_a_connection_a_plain_report_is_dropped_and_counted() -> None:
    stage = Stage(PROFILES["none"], devices=1)
    stage.welcome(0)
    stage.air.online = False
    for _ in range(400):
        stage.pass_ms(60_000)
    summary = stage.ledger.summary
    assert summary.dropped > 0
    assert summary.sent == summary.dropped + summary.kept + 1


def test_hostile_faults_cut_devices_off() -> None:
    stage = Stage(PROFILES["hostile"], devices=20)
    for device in range(20):
        stage.welcome(device) if stage.weather.profile.loss == 0 else stage.conductor.connected(device)
    for _ in range(600):
        stage.pass_ms(1_000)
    counts = stage.weather.counts
    assert len(stage.air.cuts) == counts.reboots + counts.offline_spells > 0


def test_a_share_of_heartbeats_can_be_kept_as_well() -> None:
    stage = Stage(PROFILES["none"], devices=1)
    stage.conductor.keep_also(1.0, Random(1))
    stage.welcome(0)
    assert stage.ledger.summary.kept == stage.ledger.summary.sent == 1
