"""A device's messages carry the stamps it means."""

from random import Random

from device_sim.device import BasicDevice, FullDevice, build_device
from device_sim.peek import Label
from device_sim.profiles import PROFILES, Level, Profile
from firmware_protocol import codec, topics
from firmware_protocol.codec import Encoding
from firmware_protocol.messages import DeviceId, Report, Welcome

ID = DeviceId("D1")


def model(level: Level) -> Profile:
    return next(profile for profile in PROFILES if profile.level is level)


def full(skew_ms: int = 0) -> FullDevice:
    device = build_device(0, ID, model(Level.FULL), chance=Random(1), skew_ms=skew_ms)
    assert isinstance(device, FullDevice)
    return device


def welcome(device: FullDevice, boot: int, now_ms: int) -> list[Label]:
    hello = next(message for message in device.connected(now_ms) if message.topic == topics.hello_topic(ID))
    power_on_id = codec.decode_hello(hello.payload).power_on_id
    frame = codec.encode_welcome(Welcome(power_on_id, boot, boot * 1000), encoding=Encoding.CBOR)
    sent = device.heard(topics.welcome_topic(ID), frame, now_ms)
    return [message.label for message in sent if message.label]


def test_a_full_device_stamps_when_it_is_welcomed_and_numbers_without_gaps() -> None:
    device = full()
    assert device.say(Report(battery_pct=50, keep=True), 10, unix_ms=10) == []
    assert welcome(device, 1_700_000_000, 1_000) == [Label(1_700_000_000, 1, True)]
    said = [device.say(Report(battery_pct=50), now_ms, unix_ms=0) for now_ms in (2_000, 3_000)]
    assert [[message.label for message in messages] for messages in said] == [
        [Label(1_700_000_000, 2, False)],
        [Label(1_700_000_000, 3, False)],
    ]


def test_power_lost_and_found_keeps_what_was_kept_and_greets_anew() -> None:
    device = full()
    welcome(device, 1_700_000_000, 1_000)
    device.say(Report(battery_pct=50, keep=True), 2_000, unix_ms=0)
    device.disconnected(2_500)
    device.reboot(3_000)
    assert welcome(device, 1_700_000_099, 4_000) == [Label(1_700_000_000, 1, True)]


def test_a_device_knows_what_it_still_answers_for() -> None:
    device = full()
    device.say(Report(battery_pct=50, keep=True), 10, unix_ms=10)
    assert (device.unreceipted, device.kept_stamps) == (1, frozenset())
    welcome(device, 1_700_000_000, 1_000)
    assert (device.unreceipted, device.kept_stamps) == (1, frozenset({(1_700_000_000, 1)}))


def test_a_wrong_clock_is_told_and_the_elapsed_time_stays_right() -> None:
    device = full(skew_ms=-3_600_000)
    welcome(device, 1_700_000_000, 1_000)
    (message,) = device.say(Report(battery_pct=50), 6_000, unix_ms=10_000_000)
    report = codec.decode_report(message.payload)
    assert report.reported_at_ms == 6_400_000
    assert report.elapsed_ms == 5_000


def test_a_basic_device_rises_over_its_whole_life_and_keeps_nothing() -> None:
    device = build_device(0, ID, model(Level.BASIC), chance=Random(1))
    assert isinstance(device, BasicDevice)
    assert device.connected(0) == []
    seqs = []
    for unix_ms in (1_000, 1_000, 900, 2_000):
        (message,) = device.say(Report(battery_pct=50, keep=True), 0, unix_ms=unix_ms)
        report = codec.decode_report(message.payload)
        assert message.label == Label(0, report.seq or 0, False)
        assert (report.boot, report.keep) == (0, False)
        seqs.append(report.seq)
    assert seqs == [1_000, 1_001, 1_002, 2_000]


def test_a_basic_device_holds_its_newest_report_while_it_is_offline() -> None:
    device = build_device(0, ID, model(Level.BASIC), chance=Random(1))
    assert device.say(Report(battery_pct=50), 0, unix_ms=1_000) == []
    assert device.say(Report(battery_pct=51), 0, unix_ms=2_000) == []
    assert [message.label for message in device.connected(0)] == [Label(0, 2_000, False)]
    device.disconnected(0)
    assert device.say(Report(battery_pct=52), 0, unix_ms=3_000) == []
    device.reboot(0)
    assert device.connected(0) == []
    assert device.next_wakeup_ms() is None
