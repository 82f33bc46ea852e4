"""Quarantined frames arrive again, each on its lane, and only where that lane is held."""

from firmware_protocol.codec import Encoding, encode_hello, encode_report
from firmware_protocol.messages import DeviceId, Hello, Report
from firmware_protocol.topics import SHARDS, hello_topic, report_topic, shard_of
from gateway.mqtt.replayed import arrive_again
from gateway.reading import QuarantineRow

DEVICE = DeviceId("bike-1")
LANE = shard_of(DEVICE)
REPORT = Report(seq=4, battery_pct=71)
FRAME = encode_report(REPORT, encoding=Encoding.CBOR)
NOW_MS = 1_790_000_000_000


def row(number: int, topic: str, frame: bytes = FRAME, *, device_id: str = DEVICE) -> QuarantineRow:
    return QuarantineRow(number, device_id, topic, "unknown_device", "", NOW_MS - 1000, frame)


def test_a_report_arrives_now_as_a_redelivery() -> None:
    again = arrive_again([row(7, report_topic(DEVICE))], NOW_MS, lanes={LANE})
    assert again.numbers == [7]
    (arrived,) = again.reports
    assert (arrived.report, arrived.frame, arrived.device_id, arrived.lane) == (REPORT, FRAME, DEVICE, LANE)
    assert (arrived.received_ms, arrived.redelivered) == (NOW_MS, True)


def test_frames_of_other_lanes_are_left_for_their_owner() -> None:
    again = arrive_again([row(7, report_topic(DEVICE))], NOW_MS, lanes=set(range(SHARDS)) - {LANE})
    assert (again.numbers, again.reports) == ([], [])


def test_a_row_that_was_kept_without_its_topic_gets_it_from_its_device() -> None:
    (arrived,) = arrive_again([row(7, "")], NOW_MS, lanes={LANE}).reports
    assert (arrived.device_id, arrived.report) == (DEVICE, REPORT)


def test_what_is_still_wrong_arrives_as_wrong() -> None:
    rows = [
        row(1, report_topic(DEVICE), b"\xff"),
        row(2, "lk/v1/07/lk-evil/report"),
        row(3, "", device_id="?"),
    ]
    again = arrive_again(rows, NOW_MS, lanes=range(SHARDS))
    assert again.numbers == [1, 2, 3]
    assert [arrived.report for arrived in again.reports] == [None] * 3
    assert all(arrived.malformed_reason for arrived in again.reports)


def test_a_hello_is_done_with_and_not_given_again() -> None:
    hello = encode_hello(Hello(1, "bike"), encoding=Encoding.JSON)
    again = arrive_again([row(5, hello_topic(DEVICE), hello)], NOW_MS, lanes={LANE})
    assert (again.numbers, again.reports) == ([5], [])
