"""Reports, hellos and receipts through the whole gateway, and how it starts and stops."""

from collections.abc import Iterator

import pytest

from cli.stack import Stack
from firmware_protocol.codec import decode_receipt, decode_welcome
from firmware_protocol.messages import Hello, Report, ReportStamp
from firmware_protocol.topics import receipt_topic, report_topic, welcome_topic
from tests.support.gateway_rig import Bridge, GatewayRig, bridge, gateway_rig
from tests.support.waiting import until

pytestmark = pytest.mark.e2e


QUOTA = 100
"""Of reports in one window; who is not loud says less in these tests."""
REPEATED, ADVANCED = (f'latchkey_reports_total{{outcome="{one}"}}' for one in ("repeated", "advanced"))
BEYOND = "latchkey_reports_beyond_quota_total"


@pytest.fixture(scope="module")
def gateway(
    stack: Stack, shared_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayRig]:
    """One for all tests of this file."""
    folder, settings = tmp_path_factory.mktemp("gateway"), {"LATCHKEY_REPORTS_PER_DEVICE": str(QUOTA)}
    with gateway_rig(stack, shared_database, folder, devices=0, **settings) as started:
        yield started


@pytest.fixture
def rig(gateway: GatewayRig) -> Iterator[GatewayRig]:
    with gateway.lent() as lent:
        yield lent


@pytest.fixture
def speaker(rig: GatewayRig) -> Iterator[Bridge]:
    with bridge(rig.stack) as connected:
        yield connected


def test_reports_are_stored_once_and_counted(rig: GatewayRig, speaker: Bridge) -> None:
    repeated, advanced = rig.metric(REPEATED), rig.metric(ADVANCED)
    count = speaker.report_all(rig.devices, range(1, 11))
    rig.wait_stored(count)
    assert speaker.report_all(rig.devices, range(10, 11)) == len(rig.devices)
    until(lambda: rig.metric(REPEATED) == repeated + len(rig.devices))
    assert rig.stored() == count
    assert rig.metric(ADVANCED) == advanced + count
    assert rig.get("/livez")[0] == 200
    assert rig.reasons() == []


def test_a_hello_is_welcomed_and_kept_reports_are_receipted(rig: GatewayRig, speaker: Bridge) -> None:
    device = rig.devices[0]
    speaker.listen(welcome_topic(device))
    speaker.listen(receipt_topic(device))
    speaker.hello(device, Hello(power_on_id=77, model="rig-bike"))
    topic, payload = speaker.heard.get(timeout=30)
    welcome = decode_welcome(payload)
    assert (topic, welcome.power_on_id) == (welcome_topic(device), 77)
    stamps = {ReportStamp(welcome.boot, seq) for seq in (1, 2, 3)}
    for stamp in stamps:
        speaker.report(device, Report(boot=stamp.boot, seq=stamp.seq, elapsed_ms=5, keep=True))
    receipted: set[ReportStamp] = set()
    while receipted < stamps:
        topic, payload = speaker.heard.get(timeout=30)
        assert topic == receipt_topic(device)
        receipted |= set(decode_receipt(payload).stamps)
    assert receipted == stamps
    assert rig.stored() == 3


def test_poison_is_put_aside_and_never_comes_back(rig: GatewayRig, speaker: Bridge) -> None:
    poison = [b"\xff\x00", b"{", b'{"battery_pct":101}', b"[" * 2_000, b""]
    for frame in poison:
        speaker.publish(report_topic(rig.devices[0]), frame)
    speaker.publish("lk/v1/07/lk-evil/report", b"{}")
    good = speaker.report_all(rig.devices, range(1, 4))
    rig.wait_stored(good)
    quarantined = "select reason from quarantine"
    until(lambda: len(rig.rows(quarantined)) == len(poison) + 1)
    assert rig.process.stop() == 0
    rig.process.start()
    rig.wait_stored(good + speaker.report_all(rig.devices, range(4, 5)))
    assert len(rig.rows(quarantined)) == len(poison) + 1


def test_a_loud_device_is_held_to_its_quota_and_nobody_pays_for_it(rig: GatewayRig, speaker: Bridge) -> None:
    loud, *others = rig.devices
    beyond = rig.metric(BEYOND)
    for seq in range(1, 1001):
        speaker.report(loud, Report(seq=seq))
        if seq % 50 == 0:
            speaker.report_all(others, range(seq, seq + 1))
    of_loud = "select count(*) from report_all join device using (device_no) where device_id = %s"

    def stored_of_loud() -> int:
        return int(rig.rows(of_loud, loud)[0][0])

    until(lambda: rig.metric(BEYOND) - beyond + stored_of_loud() == 1000)
    # Twice as much when a window ends meanwhile.
    assert stored_of_loud() in (QUOTA, 2 * QUOTA)
    rig.wait_stored(stored_of_loud() + 20 * len(others))


def test_a_graceful_stop_stores_what_was_read_and_keeps_the_sessions(
    rig: GatewayRig, speaker: Bridge
) -> None:
    before = [speaker.report(device, Report(seq=seq)) for seq in range(1, 51) for device in rig.devices]
    assert rig.process.stop(deadline_s=10.0) == 0
    while_away = speaker.report_all(rig.devices, range(51, 61))
    rig.process.start()
    rig.wait_stored(len(before) + while_away)
    assert rig.metric('latchkey_session_incidents_total{kind="lost"}') == 0


def test_a_report_is_stored_soon_after_exec(rig: GatewayRig, speaker: Bridge) -> None:
    assert rig.process.stop() == 0
    waiting = speaker.report_all(rig.devices, range(1, 2))
    rig.process.start_without_waiting()
    # 1.5 s on a quiet machine; the bench measures it.
    rig.wait_stored(waiting, deadline_s=20.0)
    # The next test asks it at its new address.
    rig.process.wait_ready()
