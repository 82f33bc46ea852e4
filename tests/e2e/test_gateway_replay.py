"""What was put aside and then mended is replayed: by the verb, through the gateway, into history."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from cli.stack import CHECKOUT, Stack
from firmware_protocol.messages import DeviceId, Report
from firmware_protocol.topics import report_topic
from gateway.stores.registration import NewDevice, bulk_register
from tests.support.gateway_rig import MODEL, Bridge, GatewayRig, bridge, gateway_rig
from tests.support.waiting import until

pytestmark = pytest.mark.e2e

NEWCOMER = DeviceId("came-too-soon")
WAITING = "select reason from quarantine order by quarantine_no"


@pytest.fixture
def rig(stack: Stack, database: str, redis_url: str, tmp_path: Path) -> Iterator[GatewayRig]:
    with gateway_rig(stack, database, tmp_path, devices=1) as started:
        yield started


@pytest.fixture
def speaker(rig: GatewayRig) -> Iterator[Bridge]:
    with bridge(rig.stack) as connected:
        yield connected


def verb(rig: GatewayRig, *arguments: str) -> str:
    """`./latchkey device quarantine …` against the rig's database."""
    command = [sys.executable, "-m", "cli", "device", "quarantine", *arguments]
    done = subprocess.run(
        command, env=rig.process.environment, cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_a_device_that_reported_before_it_was_registered_loses_nothing(
    rig: GatewayRig, speaker: Bridge
) -> None:
    speaker.wait_taken([speaker.report(NEWCOMER, Report(seq=seq, battery_pct=50)) for seq in (1, 2, 3)])
    until(lambda: len(rig.rows(WAITING)) == 3, what="three frames of nobody in quarantine")
    with psycopg.connect(rig.dsn) as connection:
        bulk_register(connection, [MODEL], [NewDevice(NEWCOMER, MODEL.model)])
    assert "3 frames are marked" in verb(rig, "replay", "--reason", "unknown_device")
    rig.wait_stored(3)
    until(lambda: rig.rows(WAITING) == [], what="an empty quarantine")
    assert verb(rig, "list") == ""


def test_what_is_still_wrong_is_put_aside_again(rig: GatewayRig, speaker: Bridge) -> None:
    speaker.wait_taken([speaker.publish(report_topic(rig.devices[0]), b"{")])
    until(lambda: rig.rows(WAITING) == [("malformed",)])
    number = int(verb(rig, "list").split()[0])
    verb(rig, "replay", str(number))
    newest = "select quarantine_no from quarantine"
    until(lambda: rig.rows(WAITING) == [("malformed",)] and rig.rows(newest) != [(number,)])
    assert rig.stored() == 0
