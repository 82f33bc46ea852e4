"""Whatever is killed, frozen or deleted: every report that the broker kept is in history exactly once."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest
import redis

from cli.stack import Stack
from firmware_protocol.messages import DeviceId, Report
from firmware_protocol.topics import shard_of
from gateway.mqtt.lane_sessions import report_client_id
from tests.support.gateway_rig import Bridge, GatewayRig, bridge, gateway_rig
from tests.support.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.faults]

ADVANCED = 'latchkey_reports_total{outcome="advanced"}'
LOST = 'latchkey_session_incidents_total{kind="lost"}'


@pytest.fixture(scope="module")
def gateway(
    stack: Stack, shared_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayRig]:
    """One for all tests of this file: what a test did to it or to its servers must not matter to the next."""
    with gateway_rig(stack, shared_database, tmp_path_factory.mktemp("gateway"), devices=0) as started:
        yield started


@pytest.fixture
def rig(gateway: GatewayRig) -> Iterator[GatewayRig]:
    with gateway.lent() as lent:
        yield lent


@pytest.fixture
def speaker(rig: GatewayRig) -> Iterator[Bridge]:
    with bridge(rig.stack) as connected:
        yield connected


def test_a_killed_gateway_loses_nothing(rig: GatewayRig, speaker: Bridge) -> None:
    sent = 0
    for round_number in range(2):
        first = 1 + round_number * 20
        in_flight = [
            speaker.report(device, Report(seq=seq))
            for seq in range(first, first + 20)
            for device in rig.devices
        ]
        until(partial(rig.has_stored, sent + 1))
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
    rig.wait_at_rest()
    advanced = rig.metric(ADVANCED)
    rig.stack.postgres.freeze()
    try:
        waiting = speaker.report_all(rig.devices, range(3, 30))
        until(lambda: rig.metric("latchkey_commit_lag_seconds") > 1.0)
        assert rig.metric(ADVANCED) == advanced
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
    lost = rig.metric(LOST)
    rig.stack.broker.forget()
    until(lambda: rig.metric(LOST) >= lost + 32)
    rig.wait_ready()
    with bridge(rig.stack) as after:
        after.report_all(rig.devices, range(2, 3))
        rig.wait_stored(2 * len(rig.devices))
    assert rig.metric("latchkey_lanes_parked") == 0


def test_a_lost_redis_is_rebuilt_even_while_nobody_reports(rig: GatewayRig, speaker: Bridge) -> None:
    rig.wait_stored(speaker.report_all(rig.devices, range(1, 4)))
    rig.wait_at_rest()
    rig.stack.redis.kill()
    until(rig.reasons)
    rig.stack.redis.start()

    def has_state(device_id: DeviceId) -> bool:
        with redis.Redis.from_url(rig.stack.redis.url()) as client:
            return bool(client.hexists(f"lk:{{{shard_of(device_id):02x}}}:live", device_id))

    until(lambda: all(map(has_state, rig.devices)))
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
    # It stays parked until somebody looks after it.
    assert rig.process.stop() == 0


def test_a_second_gateway_waits_for_the_leases_of_the_first(
    rig: GatewayRig, speaker: Bridge, tmp_path: Path
) -> None:
    name = {"LATCHKEY_GATEWAY_NAME": "gateway-2"}
    standby = GatewayRig(rig.stack, rig.dsn, tmp_path / "standby", rig.devices, settings=name)
    try:
        standby.process.start()
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
