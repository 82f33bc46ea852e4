"""Devices with other people's MQTT clients get through the devices listener."""

import subprocess
from collections.abc import Iterator

import aiomqtt
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from cli.stack import Stack
from firmware_protocol.topics import report_topic
from tests.support.gateway_rig import GatewayRig, gateway_rig
from tests.support.waiting import until

pytestmark = pytest.mark.e2e

PASSWORD = "a-device-password"
FRAME = '{"seq":1,"battery_pct":66,"fix":{"lat_e7":13000000,"lon_e7":1038000000}}'


@pytest.fixture(scope="module")
def gateway(
    stack: Stack, shared_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayRig]:
    with gateway_rig(stack, shared_database, tmp_path_factory.mktemp("gateway"), devices=0) as started:
        yield started


@pytest.fixture
def rig(gateway: GatewayRig) -> Iterator[GatewayRig]:
    """With one device, which the broker knows."""
    with gateway.lent(devices=1) as lent:
        lent.stack.broker.set_devices(dict.fromkeys(lent.devices, PASSWORD))
        yield lent


async def test_a_device_with_aiomqtt_reports_on_mqtt_5(rig: GatewayRig) -> None:
    device = rig.devices[0]
    async with aiomqtt.Client(
        "127.0.0.1",
        rig.stack.broker.device_port,
        username=device,
        password=PASSWORD,
        protocol=aiomqtt.ProtocolVersion.V5,
    ) as client:
        await client.publish(report_topic(device), FRAME, qos=1)
    rig.wait_stored(1)


def test_a_device_with_paho_reports_on_mqtt_3_1_1(rig: GatewayRig) -> None:
    device = rig.devices[0]
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="anything", protocol=paho.MQTTv311)
    client.username_pw_set(device, PASSWORD)
    client.connect("127.0.0.1", rig.stack.broker.device_port)
    client.loop_start()
    try:
        sent = client.publish(report_topic(device), FRAME, qos=1)
        until(sent.is_published)
    finally:
        client.disconnect()
        client.loop_stop()
    rig.wait_stored(1)


def test_a_person_reports_with_mosquitto_pub(rig: GatewayRig) -> None:
    device = rig.devices[0]
    address = ["-h", "127.0.0.1", "-p", str(rig.stack.broker.device_port)]
    what = ["-t", report_topic(device), "-m", FRAME, "-q", "1"]
    subprocess.run(["mosquitto_pub", *address, "-u", device, "-P", PASSWORD, *what], check=True, timeout=30)
    rig.wait_stored(1)
