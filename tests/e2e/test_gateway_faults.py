"""Whatever is killed, frozen or deleted: every report that the broker kept is in history exactly once."""

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from cli.stack import Stack
from firmware_protocol.messages import Report
from gateway.mqtt.lane_sessions import report_client_id
from tests.support.gateway_rig import Bridge, GatewayRig, bridge, gateway_rig
from tests.support.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.faults]


@pytest.fixture
def rig(stack: Stack, database: str, redis_url: str, tmp_path: Path) -> Iterator[GatewayRig]:
    with gateway_rig(stack, database, tmp_path) as started:
        yield started


@pytest.fixture
def speaker(rig: GatewayRig) -> Iterator[Bridge]:
    with bridge(rig.stack) as connected:
        yield connected


def test_a_killed_gateway_loses_nothing(rig: GatewayRig, speaker: Bridge) -> None:
    sent = 0
    for round_number in range(4):
        first = 1 + round_number * 20
        in_flight = [
            speaker.report(device, Report(seq=seq))
            for seq in range(first, first + 20)
            for device in rig.devices
        ]
        until(lambda: rig.metric("latchkey_stored_rows_total") > 0)
        rig.process.kill()
        speaker.wait_taken(in_flight)
        sent += len(in_flight)
        rig.process.start()
    rig.wait_stored(sent)


def test_while_postgres_is_frozen_nothing_is_acknowledged_and_nothing_lost(
    rig: GatewayRig, speaker: Bridge
) -> None:
    stored = speaker.report_all(rig.devices, range(1, 3))
    rig.wait_stored(stored)
    rig.stack.postgres.freeze()
    try:
        waiting = speaker.report_all(rig.devices, range(3, 30))
        until(lambda: rig.metric("latchkey_commit_lag_seconds") > 1.0)
        assert rig.metric('latchkey_reports_total{outcome="advanced"}') == stored
        until(rig.reasons, what="the gateway says that it is not ready")
        # Whatever it had read is with the broker still.
        rig.process.kill()
    finally:
        rig.stack.postgres.thaw()
    rig.process.start()
    rig.wait_stored(stored + waiting)


def test_a_frozen_postgres_that_thaws_is_used_again(rig: GatewayRig, speaker: Bridge) -> None:
    rig.stack.postgres.freeze()
    try:
        waiting = speaker.report_all(rig.devices, range(1, 10))
        until(lambda: rig.metric("latchkey_commit_lag_seconds") > 1.0)
    finally:
        rig.stack.postgres.thaw()
    rig.wait_stored(waiting)
    rig.wait_ready()


def test_a_killed_postgres_is_found_again(rig: GatewayRig, speaker: Bridge) -> None:
    rig.stack.postgres.kill()
    try:
        waiting = speaker.report_all(rig.devices, range(1, 10))
        until(rig.reasons)
    finally:
        rig.stack.postgres.start()
    rig.wait_stored(waiting)
    rig.wait_ready()


def test_a_broker_that_forgot_its_sessions_is_an_incident_and_heals(rig: GatewayRig, speaker: Bridge) -> None:
    rig.wait_stored(speaker.report_all(rig.devices, range(1, 2)))
    rig.stack.broker.forget()
    until(lambda: rig.metric('latchkey_session_incidents_total{kind="lost"}') >= 32)
    rig.wait_ready()
    with bridge(rig.stack) as after:
        after.report_all(rig.devices, range(2, 3))
        rig.wait_stored(2 * len(rig.devices))
    assert rig.metric("latchkey_lanes_parked") == 0


def test_a_lost_redis_is_rebuilt_even_while_nobody_reports(rig: GatewayRig, speaker: Bridge) -> None:
    rig.wait_stored(speaker.report_all(rig.devices, range(1, 4)))
    until(lambda: rig.metric('latchkey_reports_total{outcome="advanced"}') == 3 * len(rig.devices))
    rig.stack.redis.kill()
    until(rig.reasons)
    rig.stack.redis.start()

    def states() -> int:
        with redis.Redis.from_url(rig.stack.redis.url()) as client:
            lengths = [client.hlen(f"lk:{{{lane:02x}}}:live") for lane in range(16)]
            return sum(length for length in lengths if isinstance(length, int))

    until(lambda: states() == len(rig.devices))
    rig.wait_ready()
    rig.wait_stored(3 * len(rig.devices) + speaker.report_all(rig.devices, range(4, 5)))


def test_a_lane_that_is_taken_again_and_again_is_parked(rig: GatewayRig) -> None:
    import paho.mqtt.client as paho
    from paho.mqtt.enums import CallbackAPIVersion

    rival = paho.Client(CallbackAPIVersion.VERSION2, client_id=report_client_id(7), protocol=paho.MQTTv5)
    rival.username_pw_set(rig.stack.broker.gateway_user, rig.stack.broker.gateway_password)
    rival.connect("127.0.0.1", rig.stack.broker.internal_port)
    rival.reconnect_delay_set(1, 1)
    rival.loop_start()
    try:
        until(lambda: any("lane 07 parked" in reason for reason in rig.reasons()), deadline_s=60)
    finally:
        rival.disconnect()
        rival.loop_stop()
    status, body = rig.get("/readyz")
    assert status == 503
    assert [reason for reason in json.loads(body)["reasons"] if "parked" in reason] == [
        "lane 07 parked: another client keeps taking it"
    ]


def test_a_second_gateway_waits_for_the_leases_of_the_first(
    rig: GatewayRig, speaker: Bridge, tmp_path: Path
) -> None:
    standby = GatewayRig(rig.stack, rig.dsn, tmp_path / "standby", rig.devices)
    standby.process.environment["LATCHKEY_GATEWAY_NAME"] = "gateway-2"
    standby.process.start()
    try:
        assert any(reason.startswith("lanes not held") for reason in standby.reasons())
        rig.wait_stored(speaker.report_all(rig.devices, range(1, 5)))
        assert rig.process.stop() == 0
        standby.wait_ready()
        count = speaker.report_all(rig.devices, range(5, 9))
        standby.wait_stored(4 * len(rig.devices) + count)
    finally:
        standby.process.close()
    with psycopg.connect(rig.dsn) as connection:
        owners = connection.execute("select distinct owner from lease where expires_at > now()").fetchall()
    assert owners in ([], [("gateway-2",)])
