"""The device of example.c, conversing with a gateway written here."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware_protocol import codec, topics
from firmware_protocol.codec import Encoding
from firmware_protocol.commands import Ack, AckResult, Command, CommandKind
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.messages import Bolt, DeviceId, Hello, Receipt, Report, ReportStamp, Welcome
from firmware_protocol.signature import sign_command, sign_welcome, verify_ack
from tests.unit.firmware_protocol.c.compiled import ENVIRONMENT, SANITIZED, SOURCES, build, sanitized

DEVICE = DeviceId("bike-000123")
KEY = DeviceKey(7, bytes(range(32)))
BOOT = 1_790_000_000
KEPT = 64
ID = bytes(range(16))
Said = str | Hello | Report | Ack


class Bike:
    """One process of the example on its board."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.power_on_id = 0

    def after(self, *event: object) -> list[Said]:
        """What it does upon one event."""
        stdin, stdout, stderr = self._process.stdin, self._process.stdout, self._process.stderr
        assert stdin is not None
        assert stdout is not None
        assert stderr is not None
        stdin.write(" ".join(map(str, event)) + "\n")
        stdin.flush()
        lines = []
        while (line := stdout.readline().strip()) != ".":
            assert line, stderr.read()
            lines.append(line)
        return [self._read(line) for line in lines]

    def _read(self, line: str) -> Said:
        verb, *words = line.split()
        if verb != "publish":
            return line
        topic, frame = words[0], bytes.fromhex(words[1])
        if topic == topics.hello_topic(DEVICE):
            hello = codec.decode_hello(frame)
            self.power_on_id = hello.power_on_id
            return hello
        if topic == topics.report_topic(DEVICE):
            return codec.decode_report(frame)
        assert topic == topics.ack_topic(DEVICE)
        return verify_ack(frame, device_id=DEVICE, keys=[KEY])

    def welcome(self, *, boot: int = BOOT, sent_ms: int = 0) -> list[Said]:
        welcome = Welcome(self.power_on_id, boot, boot * 1000, sent_ms)
        frame = sign_welcome(welcome, device_id=DEVICE, key=KEY)
        return self.after("heard", topics.welcome_topic(DEVICE), frame.hex())

    def command(
        self, *, kind: CommandKind = CommandKind.UNLOCK, fence: int = 1, boot: int = BOOT
    ) -> list[Said]:
        command = Command(ID, boot, fence, BOOT + 10, kind)
        frame = sign_command(command, device_id=DEVICE, key=KEY)
        return self.after("heard", topics.command_topic(DEVICE), frame.hex())

    def receipt(self, *stamps: ReportStamp) -> list[Said]:
        frame = codec.encode_receipt(Receipt(stamps), encoding=Encoding.CBOR)
        return self.after("heard", topics.receipt_topic(DEVICE), frame.hex())


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("example") / "board"
    return build(SOURCES / "example_board.c", into=into, options=SANITIZED)


@pytest.fixture
def bike(program: Path) -> Iterator[Bike]:
    """Connected, not yet welcomed."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        sanitized(program), stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=ENVIRONMENT
    ) as process:
        started = Bike(process)
        started.after("connected")
        yield started
        process.communicate()


def stamp(report: Report) -> ReportStamp:
    assert report.seq is not None
    return ReportStamp(report.boot, report.seq)


def acks(said: list[Said]) -> list[AckResult]:
    return [one.result for one in said if isinstance(one, Ack)]


def reports(said: list[Said]) -> list[Report]:
    return [one for one in said if isinstance(one, Report)]


def test_it_listens_before_it_greets(bike: Bike) -> None:
    *listened, hello = bike.after("connected")
    assert listened == [
        f"subscribe {build_topic(DEVICE)}"
        for build_topic in (topics.welcome_topic, topics.receipt_topic, topics.command_topic)
    ]
    assert isinstance(hello, Hello)


def test_it_greets_again_until_it_is_welcomed_ever_more_seldom(bike: Bike) -> None:
    at_ms = [
        now_ms
        for now_ms in range(0, 120_000, 100)
        if any(isinstance(one, Hello) for one in bike.after("at", now_ms))
    ]
    gaps = [after - before for before, after in zip([0, *at_ms], at_ms, strict=False)]
    assert len(gaps) in (3, 4, 5)
    for gap, wanted in zip(gaps, (5_000, 10_000, 20_000, 40_000), strict=False):
        assert 0.75 * wanted <= gap <= 1.25 * wanted + 100
    assert reports(bike.welcome(sent_ms=at_ms[-1]))
    assert not any(isinstance(one, Hello) for one in bike.after("at", 200_000))


def test_a_slow_welcome_is_worth_another_hello(bike: Bike) -> None:
    bike.after("at", 4_000)
    assert reports(bike.welcome())
    said = [one for now_ms in range(4_100, 24_100, 100) for one in bike.after("at", now_ms)]
    assert any(isinstance(one, Hello) for one in said)


def test_it_reports_at_every_heartbeat(bike: Bike) -> None:
    (first,) = reports(bike.welcome())
    assert (first.boot, first.seq, first.elapsed_ms, first.keep) == (BOOT, 1, 0, False)
    assert bike.after("at", 59_999) == []
    (second,) = reports(bike.after("at", 60_000))
    assert (second.seq, second.elapsed_ms) == (2, 60_000)


def test_an_unlock_is_remembered_then_accepted_then_done_then_shown(bike: Bike) -> None:
    bike.welcome()
    said = bike.command()
    assert [one if isinstance(one, str) else type(one) for one in said] == [
        *("save", Ack, "act 1", "save", Ack, "save", Report)
    ]
    assert acks(said) == [AckResult.ACCEPTED, AckResult.EXECUTED]
    (report,) = reports(said)
    assert report.keep
    assert report.lock is not None
    assert (report.lock.bolt, report.lock.last_fence, report.lock.openings) == (Bolt.OPEN, 1, 1)


def test_the_same_unlock_again_moves_nothing(bike: Bike) -> None:
    bike.welcome()
    bike.command()
    bike.after("closed")
    (again,) = bike.command()
    assert isinstance(again, Ack)
    assert again.result is AckResult.EXECUTED


def test_power_lost_after_the_unlock_leaves_it_remembered(bike: Bike) -> None:
    bike.welcome()
    bike.command()
    before = bike.power_on_id
    bike.after("power")
    bike.after("connected")
    assert bike.power_on_id != before
    bike.welcome(boot=BOOT + 1)
    assert acks(bike.command()) == [AckResult.EXECUTED]


def test_an_expired_an_old_and_an_unknown_order_move_nothing(bike: Bike) -> None:
    assert bike.command() == []
    bike.welcome()
    bike.after("at", 10_000)
    said = bike.command()
    assert [one if isinstance(one, str) else one.reason for one in said if isinstance(one, str | Ack)] == [
        *("save", "expired")
    ]


def test_what_it_cannot_do_it_refuses_and_what_failed_it_says(bike: Bike) -> None:
    bike.welcome()
    assert acks(bike.command(kind=CommandKind.EJECT)) == [AckResult.ACCEPTED, AckResult.REFUSED]


def test_a_jammed_bolt_is_a_failure(bike: Bike) -> None:
    bike.after("jam")
    bike.welcome()
    said = bike.command()
    assert acks(said) == [AckResult.ACCEPTED, AckResult.FAILED]
    assert [one.reason for one in said if isinstance(one, Ack)] == [None, "jammed"]


def test_a_kept_report_comes_again_until_its_receipt(bike: Bike) -> None:
    bike.welcome()
    (kept,) = reports(bike.after("closed"))
    assert kept.keep
    again = [report for report in reports(bike.after("at", 40_000)) if report.keep]
    assert again == [kept]
    assert kept.seq is not None
    assert bike.receipt(ReportStamp(BOOT, kept.seq)) == ["save"]
    assert all(not report.keep for report in reports(bike.after("at", 400_000)))


def test_what_happens_before_the_first_welcome_is_kept_for_it(bike: Bike) -> None:
    assert bike.after("closed") == ["save"]
    (report,) = reports(bike.welcome())
    assert report.keep


def test_what_happens_before_the_first_welcome_outlives_a_loss_of_power(bike: Bike) -> None:
    bike.after("closed")
    bike.after("power")
    bike.after("connected")
    (report,) = reports(bike.welcome())
    assert report.keep
    bike.after("power")
    bike.after("connected")
    said = reports(bike.welcome(boot=BOOT + 1))
    assert [one.keep for one in said if one.boot == BOOT + 1] == [False], "told once"


def test_no_kept_report_goes_while_a_place_is_free_and_then_the_oldest(bike: Bike) -> None:
    bike.welcome()
    (never_receipted,) = reports(bike.after("closed"))
    for _ in range(KEPT):
        (kept,) = reports(bike.after("closed"))
        bike.receipt(stamp(kept))
    kept_since = [reports(bike.after("closed"))[0] for _ in range(KEPT - 1)]
    assert kept_since[-1].kept_lost == 0
    (one_too_many,) = reports(bike.after("closed"))
    assert never_receipted.kept_lost == one_too_many.kept_lost == 0
    again = [report for report in reports(bike.after("at", 40_000)) if report.keep]
    assert sorted(map(stamp, again)) == list(map(stamp, [*kept_since, one_too_many]))
    assert reports(bike.after("at", 100_000))[-1].kept_lost == 1


def test_what_happens_without_a_link_goes_out_after_the_next(bike: Bike) -> None:
    bike.welcome()
    bike.after("lost")
    assert reports(bike.after("closed")) == []
    bike.after("connected")
    assert [report.keep for report in reports(bike.welcome())] == []
    assert any(report.keep for report in reports(bike.after("at", 100)))


def test_it_asks_for_the_time_every_hour_and_for_a_new_boot_after_a_week(bike: Bike) -> None:
    bike.welcome()
    first = bike.power_on_id
    assert any(isinstance(one, Hello) for one in bike.after("at", 3_600_000))
    assert bike.power_on_id == first
    bike.welcome(sent_ms=3_600_000)
    bike.after("at", 7 * 86_400_000)
    assert bike.power_on_id != first
