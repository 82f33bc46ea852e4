"""What was put aside and then mended is replayed: by the verb, through the gateway, into history."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from typer.testing import CliRunner

from cli.main import application
from cli.running import POSTGRES_DSN
from cli.stack import Stack
from firmware_protocol.messages import DeviceId, Report
from firmware_protocol.topics import report_topic
from gateway.stores.registration import NewDevice, bulk_register
from tests.support.gateway_rig import MODEL, Bridge, GatewayRig, bridge, gateway_rig
from tests.support.waiting import until

pytestmark = pytest.mark.e2e

NEWCOMER = DeviceId("came-too-soon")


@pytest.fixture(scope="module")
def gateway(
    stack: Stack, shared_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayRig]:
    with gateway_rig(stack, shared_database, tmp_path_factory.mktemp("gateway"), devices=0) as started:
        yield started


@pytest.fixture
def rig(gateway: GatewayRig) -> Iterator[GatewayRig]:
    with gateway.lent(devices=1) as lent:
        yield lent


@pytest.fixture
def speaker(rig: GatewayRig) -> Iterator[Bridge]:
    with bridge(rig.stack) as connected:
        yield connected


@pytest.fixture
def verb(rig: GatewayRig, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Types `./latchkey device quarantine …` against the rig's database; returns what it says."""
    monkeypatch.setenv(POSTGRES_DSN, rig.dsn)

    def typed(*words: str) -> str:
        answer = CliRunner().invoke(application(("device",)), ["device", "quarantine", *words])
        assert answer.exit_code == 0, answer.output
        return answer.stdout

    return typed


def waiting(rig: GatewayRig, device_id: DeviceId) -> list[tuple[str, int]]:
    """Reason and number of what is put aside of a device."""
    return rig.rows(
        "select reason, quarantine_no from quarantine where device_id = %s order by quarantine_no", device_id
    )


def test_a_device_that_reported_before_it_was_registered_loses_nothing(
    rig: GatewayRig, speaker: Bridge, verb: Callable[..., str]
) -> None:
    speaker.wait_taken([speaker.report(NEWCOMER, Report(seq=seq, battery_pct=50)) for seq in (1, 2, 3)])
    until(lambda: len(waiting(rig, NEWCOMER)) == 3, what="three frames of nobody in quarantine")
    assert str(NEWCOMER) in verb("list")
    rig.devices = [NEWCOMER]
    with psycopg.connect(rig.dsn) as connection:
        bulk_register(connection, [MODEL], [NewDevice(NEWCOMER, MODEL.model)])
    assert "3 frames are marked" in verb("replay", "--reason", "unknown_device")
    rig.wait_stored(3)
    until(lambda: waiting(rig, NEWCOMER) == [], what="nothing of it in quarantine")
    assert str(NEWCOMER) not in verb("list")


def test_what_is_still_wrong_is_put_aside_again(
    rig: GatewayRig, speaker: Bridge, verb: Callable[..., str]
) -> None:
    (device_id,) = rig.devices
    speaker.wait_taken([speaker.publish(report_topic(device_id), b"{")])
    ((reason, number),) = until(lambda: waiting(rig, device_id))
    assert reason == "malformed"
    assert [line.split()[0] for line in verb("list").splitlines() if device_id in line] == [str(number)]
    verb("replay", str(number))

    def again() -> bool:
        return [reason for reason, later in waiting(rig, device_id) if later != number] == ["malformed"]

    until(again, what="the same frame, put aside anew")
    assert rig.stored() == 0
