import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from cli.demo_words import Addresses, DemoSummary, hand_line, order_line
from device_sim.movement import Place
from device_sim.profiles import PROFILES, Kind, Level
from firmware_protocol import codec
from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import Channel, parse_topic

DEVICE = DeviceId("by-hand-1")

SUMMARY = DemoSummary(
    devices=60, connected=60, sent=500, confirmed=500, profile="none", stored=500, quarantined=0, kept=7,
    receipted=7, seconds=5.0, page="http://127.0.0.1:8080/", map_devices=60, map_changes=400, p50_ms=2.04,
    p99_ms=18.62,
)  # fmt: skip


def test_the_line_to_type_is_a_report_of_the_device_it_names() -> None:
    said = hand_line(18_83, DEVICE, "by-hand", Place(1.3521, 103.8198))
    command = next(line for line in said.splitlines() if "mosquitto_pub" in line)
    program, *arguments = shlex.split(command)
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert program == "mosquitto_pub"
    assert (options["-u"], options["-i"], options["-P"], options["-p"]) == (DEVICE, DEVICE, "by-hand", "1883")
    address = parse_topic(options["-t"])
    assert (address.device_id, address.channel) == (DEVICE, Channel.REPORT)
    report = codec.decode_report(options["-m"].encode())
    assert report.fix is not None
    assert (report.fix.lat_e7, report.fix.lon_e7) == (13_521_000, 1_038_198_000)


def test_the_bike_to_open_is_one_that_takes_commands() -> None:
    basic = next(one for one in PROFILES if one.level is Level.BASIC)
    cabinet = next(one for one in PROFILES if one.kind is Kind.CABINET)
    bike = next(one for one in PROFILES if one.kind is Kind.BIKE and one.level is Level.FULL)
    ids = [DeviceId("a"), DeviceId("b"), DeviceId("c")]
    assert "./latchkey device unlock c\n" in order_line(ids, [basic, cabinet, bike])
    assert order_line(ids[:2], [basic, cabinet]) == ""


def test_every_address_is_said_on_a_line_of_its_own() -> None:
    lines = Addresses(8080, 1883, Path("/tmp/data"), 9090).text().splitlines()
    for wanted in (
        "http://127.0.0.1:8080/",
        "http://127.0.0.1:8080/docs",
        "ws://127.0.0.1:8080/v1/live",
        "http://127.0.0.1:9090/readyz,",
        "127.0.0.1:1883",
        "/tmp/data",
    ):
        assert [line for line in lines if wanted in line.split()], wanted


def test_a_summary_says_the_figures_that_were_measured() -> None:
    said = SUMMARY.text()
    assert "500 / 500 / 500" in said
    assert "2.0 ms / 18.6 ms" in said
    assert "profile" not in said


def test_reports_that_others_sent_are_told_apart() -> None:
    assert "500 / 500 / 501 (1 of others)" in replace(SUMMARY, stored=501).text()
    assert "of others" not in SUMMARY.text()


def test_figures_of_a_fault_profile_are_never_told_as_ours() -> None:
    said = replace(SUMMARY, profile="city").text()
    assert "Fault profile city" in said
    assert "--profile none" in said


@pytest.mark.parametrize(
    ("summary", "said"),
    [
        (replace(SUMMARY, p50_ms=None, p99_ms=None), "- / -"),
        (replace(SUMMARY, map_refused="box_too_wide: zoom in"), "box_too_wide: zoom in"),
    ],
)
def test_what_could_not_be_measured_is_said(summary: DemoSummary, said: str) -> None:
    assert said in summary.text()
