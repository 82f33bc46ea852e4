"""A full device over a hostile network: only a receipt makes it forget, and kept reports arrive in the end."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_protocol import codec, topics
from firmware_protocol.device_session import DeviceSession, Identity
from firmware_protocol.effects import Connect, Publish, Subscribe
from firmware_protocol.kept_ring import RESEND_FIRST_MS
from firmware_protocol.messages import Report, ReportStamp
from firmware_protocol.numbering import FRESH_HELLO_AFTER_MS
from tests.unit.firmware_protocol.device_world import DEVICE, EPOCH_S, World

HOUR_MS = 3_600_000
MINUTE_MS = 60_000


steps = st.lists(
    st.sampled_from(["kept", "kept", "plain", "wait", "wait", "long_wait", "break"]), max_size=40
)


@settings(deadline=None, max_examples=60)
@given(steps, st.integers(0, 2**32))
def test_kept_reports_arrive_in_the_end_and_only_receipts_make_a_device_forget(
    walk: list[str], seed: int
) -> None:
    world = World(Random(seed))
    world.connect()
    for step in walk:
        match step:
            case "kept" | "plain":
                world.make_report(keep=step == "kept")
            case "break":
                world.break_link()
            case "wait":
                world.run(world.now_ms + world.chance.randrange(MINUTE_MS))
            case "long_wait":
                world.run(world.now_ms + world.chance.randrange(HOUR_MS))
        assert world.session.unreceipted + len(world.gateway.kept) >= world.made_kept
    world.hostile = False
    world.run(world.now_ms + 2 * HOUR_MS)
    assert world.session.kept_lost == 0
    assert len(world.gateway.kept) == world.made_kept
    assert world.session.unreceipted == 0
    seqs = sorted(stamp.seq for stamp in world.gateway.frames)
    assert len(seqs) == len(set(seqs)), "one power-on, one boot number, so seq alone is unique"


@given(st.integers(0, 2**32))
@settings(deadline=None, max_examples=20)
def test_row_times_are_right_however_the_welcome_came(seed: int) -> None:
    world = World(Random(seed))
    world.connect()
    made_ms = []
    for _ in range(8):
        world.run(world.now_ms + world.chance.randrange(10 * MINUTE_MS))
        made_ms.append(world.now_ms)
        world.make_report(keep=True)
    world.hostile = False
    world.run(world.now_ms + HOUR_MS)
    reports = [codec.decode_report(world.gateway.frames[stamp]) for stamp in sorted(world.gateway.kept)]
    for made, report in zip(made_ms, reports, strict=True):
        at_ms = report.boot * 1000 + (report.elapsed_ms or 0)
        # At worst the answer to one hello came as late as the network delays, both ways.
        assert abs(at_ms - (EPOCH_S * 1000 + made)) <= 2 * 90_000 + 1000


def test_a_device_without_a_boot_waits_and_one_with_a_boot_does_not() -> None:
    world = World(Random(3))
    world.hostile = False
    world.make_report(keep=True)
    world.make_report(keep=False)
    world.linked = True
    greeting = world.session.connected(0)
    assert [type(effect) for effect in greeting] == [Subscribe, Publish]
    world.send(greeting)
    world.run(1000)
    assert len(world.gateway.frames) == 2
    world.break_link()
    world.make_report(keep=True)
    world.linked = True
    again = world.session.connected(2000)
    published = [effect.topic for effect in again if isinstance(effect, Publish)]
    assert published == [topics.hello_topic(DEVICE), topics.report_topic(DEVICE)]


def test_hello_is_repeated_until_it_is_answered() -> None:
    session = DeviceSession(Identity(DEVICE, "m"), Random(1))
    hellos = session.connected(0)[1:]
    now_ms, waits = 0, []
    for _ in range(12):
        wake_ms = session.next_wakeup_ms()
        assert wake_ms is not None
        waits.append(wake_ms - now_ms)
        now_ms = wake_ms
        hellos += session.woken(now_ms)
    said = [codec.decode_hello(hello.payload) for hello in hellos if isinstance(hello, Publish)]
    assert len(said) == 13
    assert len({hello.power_on_id for hello in said}) == 1
    assert [hello.hello_sent_ms for hello in said[:2]] == [0, waits[0]], "each says when it was sent"
    assert 3_750 <= waits[0] <= 6_250
    assert all(wait <= 300_000 for wait in waits)
    assert waits[-1] >= 180_000


def test_a_receipt_that_is_lost_is_asked_for_by_sending_again() -> None:
    world = World(Random(5))
    world.hostile = False
    world.connect()
    world.run(1000)
    sent = world.session.report(Report(keep=True), 1000)
    wake_ms = world.session.next_wakeup_ms()
    assert wake_ms is not None
    assert 0.75 * RESEND_FIRST_MS <= wake_ms - 1000 <= 1.25 * RESEND_FIRST_MS
    assert world.session.woken(wake_ms) == sent


def test_a_ring_that_overflows_says_so_in_every_report_after() -> None:
    world = World(Random(5))
    world.hostile = False
    world.connect()
    world.run(1000)
    world.break_link()
    for _ in range(70):
        world.session.report(Report(keep=True), 1000)
    assert world.session.kept_lost == 6
    assert world.session.unreceipted == 64
    world.linked = True
    world.send(world.session.connected(5000))
    world.run(10_000)
    newest = codec.decode_report(world.gateway.frames[max(world.gateway.kept)])
    assert newest.kept_lost == 5, "made before the sixth was dropped for it"
    world.make_report(keep=False)
    world.run(11_000)
    assert codec.decode_report(world.gateway.frames[max(world.gateway.frames)]).kept_lost == 6


def test_flash_carries_kept_reports_through_a_loss_of_power() -> None:
    world = World(Random(5))
    world.hostile = False
    world.connect()
    world.run(1000)
    world.break_link()
    world.make_report(keep=True)
    first = world.session
    unstamped = DeviceSession(Identity(DEVICE, "m"), Random(2), remembered=first.remember())
    unstamped.report(Report(keep=True, battery_pct=1), 0)
    flash = unstamped.remember()
    assert (len(flash.kept), len(flash.unstamped)) == (1, 1)
    world.session = DeviceSession(Identity(DEVICE, "m"), Random(3), remembered=flash, now_ms=0)
    world.connect()
    world.run(world.now_ms + HOUR_MS)
    assert len({stamp.boot for stamp in world.gateway.kept}) == 2
    assert world.session.unreceipted == 0


def test_after_seven_days_a_fresh_hello_gets_a_fresh_boot_while_reports_go_on() -> None:
    world = World(Random(5))
    world.hostile = False
    world.connect()
    world.run(1000)
    first = world.session.boot
    world.run(FRESH_HELLO_AFTER_MS - 1000)
    assert world.session.boot == first
    world.run(FRESH_HELLO_AFTER_MS + MINUTE_MS)
    assert world.session.boot >= first + 7 * 86_400 - 1
    world.make_report(keep=True)
    world.run(world.now_ms + MINUTE_MS)
    assert max(world.gateway.kept) == ReportStamp(world.session.boot, 1)


def test_reconnects_are_spaced_and_a_good_link_resets_the_patience() -> None:
    session = DeviceSession(Identity(DEVICE, "m"), Random(1))
    now_ms, waits = 0, []
    for _ in range(12):
        session.disconnected(now_ms)
        wake_ms = session.next_wakeup_ms()
        assert wake_ms is not None
        assert session.woken(wake_ms - 1) == []
        assert session.woken(wake_ms) == [Connect()]
        assert session.next_wakeup_ms() is None, "one attempt at a time"
        waits.append(wake_ms - now_ms)
        now_ms = wake_ms
    assert waits[0] <= 1250
    assert 180_000 <= waits[-1] <= 300_000
    session.connected(now_ms)
    session.disconnected(now_ms + 2 * MINUTE_MS)
    wake_ms = session.next_wakeup_ms()
    assert wake_ms is not None
    assert wake_ms - (now_ms + 2 * MINUTE_MS) <= 1250


@pytest.mark.parametrize("payload", [b"", b"{", b"\xa0", b'{"power_on_id":1,"boot":5,"server_time_ms":1}'])
def test_what_is_malformed_or_not_its_own_changes_nothing(payload: bytes) -> None:
    session = DeviceSession(Identity(DEVICE, "m"), Random(1))
    session.connected(0)
    for topic in (
        topics.welcome_topic(DEVICE),
        topics.receipt_topic(DEVICE),
        topics.command_topic(DEVICE),
        "x",
    ):
        assert session.received(topic, payload, 10) == []
    assert session.boot == 0
