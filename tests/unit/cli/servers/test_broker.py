import threading
from collections.abc import Iterator
from contextlib import contextmanager

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from cli.servers.broker import PrivateBroker
from cli.servers.mqtt_probe import connack_code
from firmware_protocol.limits import MAX_FRAME_BYTES
from tests.support.waiting import until

TOPIC = "lk/v1/0a/bike-1/report"


class Peer:
    """A paho client, a fresh one for each connection, with what it received."""

    def __init__(self, client_id: str, username: str, password: str) -> None:
        self.client_id = client_id
        self.username = username
        self.password = password
        self.received: list[tuple[str, bytes]] = []
        self.session_present: list[bool] = []
        self.client = self._client()

    @contextmanager
    def connected(self, port: int, *subscriptions: str) -> Iterator["Peer"]:
        self.client = self._client()
        subscribed = threading.Event()
        self.client.on_subscribe = lambda *_: subscribed.set()
        before = len(self.session_present)
        self.client.connect("127.0.0.1", port, clean_start=False, properties=kept_for_an_hour())
        self.client.loop_start()
        try:
            until(lambda: len(self.session_present) > before)
            for topic in subscriptions:
                subscribed.clear()
                self.client.subscribe(topic, qos=1)
                until(subscribed.is_set)
            yield self
        finally:
            self.client.disconnect()
            self.client.loop_stop()

    def publish(self, topic: str, payload: bytes) -> None:
        self.client.publish(topic, payload, qos=1).wait_for_publish(30)

    def _client(self) -> mqtt.Client:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, self.client_id, protocol=MQTTProtocolVersion.MQTTv5)
        client.username_pw_set(self.username, self.password)
        client.on_message = lambda _c, _u, message: self.received.append(
            (message.topic, bytes(message.payload))
        )
        client.on_connect = lambda _c, _u, flags, _r, _p: self.session_present.append(flags.session_present)
        return client


def kept_for_an_hour() -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho
    properties.SessionExpiryInterval = 3600
    return properties


def bridge(broker: PrivateBroker, client_id: str) -> Peer:
    return Peer(client_id, broker.bridge_user, broker.bridge_password)


def test_sessions_and_queued_messages_survive_an_orderly_restart(broker: PrivateBroker) -> None:
    broker.set_devices({"bike-1": "secret"})
    gateway = Peer("lk-gw-0a", broker.gateway_user, broker.gateway_password)
    with gateway.connected(broker.internal_port, "lk/v1/0a/+/report"):
        assert gateway.session_present == [False]
    with Peer("", "bike-1", "secret").connected(broker.device_port) as device:
        device.publish(TOPIC, b"while away")
    broker.terminate()
    broker.start()
    with gateway.connected(broker.internal_port):
        assert gateway.session_present == [False, True]
        until(lambda: gateway.received == [(TOPIC, b"while away")])


def test_only_listed_devices_are_let_in_and_a_change_of_the_list_is_in_force_on_return(
    broker: PrivateBroker,
) -> None:
    port = broker.device_port
    broker.set_devices({"bike-1": "one"})
    assert connack_code(port, "x", "bike-1", "one") == 0
    assert connack_code(port, "x", "bike-1", "two") != 0
    assert connack_code(port, "x", "bike-2", "one") != 0
    broker.set_devices({"bike-2": "two"})
    assert connack_code(port, "x", "bike-1", "one") != 0
    assert connack_code(port, "x", "bike-2", "two") == 0


def test_a_device_cannot_enter_where_the_gateways_enter(broker: PrivateBroker) -> None:
    broker.set_devices({"bike-1": "one"})
    assert connack_code(broker.internal_port, "lk-gw-07", "bike-1", "one") != 0
    assert connack_code(broker.internal_port, "lk-gw-07", "", "") != 0


def test_a_device_is_never_heard_as_another_one(broker: PrivateBroker) -> None:
    broker.set_devices({"bike-1": "one", "bike-2": "two"})
    with bridge(broker, "listener").connected(broker.internal_port, "lk/v1/#") as listener:
        with Peer("bike-2", "bike-1", "one").connected(broker.device_port) as thief:
            thief.publish("lk/v1/0b/bike-2/report", b"forged")
            thief.publish(TOPIC, b"own")
        # Delivery is in order: when the second message is there, the first one was thrown away.
        until(lambda: (TOPIC, b"own") in listener.received)
        assert listener.received == [(TOPIC, b"own")]


def test_a_device_hears_only_what_is_meant_for_it(broker: PrivateBroker) -> None:
    broker.set_devices({"bike-1": "one", "bike-2": "two"})
    with (
        Peer("", "bike-1", "one").connected(broker.device_port, "lk/v1/+/+/cmd", "#") as device,
        bridge(broker, "speaker").connected(broker.internal_port) as speaker,
    ):
        speaker.publish("lk/v1/0b/bike-2/cmd", b"for the other")
        speaker.publish("lk/v1/0a/bike-1/cmd", b"for this one")
        until(lambda: device.received)
        assert {payload for _, payload in device.received} == {b"for this one"}


def test_the_gateway_user_cannot_speak_as_a_device(broker: PrivateBroker) -> None:
    gateway = Peer("lk-gw-0a", broker.gateway_user, broker.gateway_password)
    with (
        bridge(broker, "listener").connected(broker.internal_port, "lk/v1/#") as listener,
        gateway.connected(broker.internal_port) as speaker,
    ):
        speaker.publish(TOPIC, b"forged")
        speaker.publish("lk/v1/0a/bike-1/welcome", b"allowed")
        until(lambda: listener.received)
        assert listener.received == [("lk/v1/0a/bike-1/welcome", b"allowed")]


def test_a_frame_of_the_largest_size_is_passed_on(broker: PrivateBroker) -> None:
    with bridge(broker, "both").connected(broker.internal_port, "lk/v1/#") as both:
        both.publish(TOPIC, b"x" * MAX_FRAME_BYTES)
        until(lambda: both.received == [(TOPIC, b"x" * MAX_FRAME_BYTES)])


def test_a_client_that_sends_far_more_is_disconnected_and_not_heard(broker: PrivateBroker) -> None:
    with bridge(broker, "listener").connected(broker.internal_port, "lk/v1/#") as listener:
        with bridge(broker, "loud").connected(broker.internal_port) as loud:
            gone = threading.Event()
            loud.client.on_disconnect = lambda *_: gone.set()
            loud.client.publish(TOPIC, b"x" * (MAX_FRAME_BYTES + 4096), qos=0)
            until(gone.is_set)
        with bridge(broker, "good").connected(broker.internal_port) as good:
            good.publish(TOPIC, b"heard")
        until(lambda: listener.received)
        assert listener.received == [(TOPIC, b"heard")]


def test_after_it_forgot_no_session_and_no_message_is_left(broker: PrivateBroker) -> None:
    gateway = Peer("lk-gw-0a", broker.gateway_user, broker.gateway_password)
    with gateway.connected(broker.internal_port, "lk/v1/0a/+/report"):
        pass
    broker.forget()
    with gateway.connected(broker.internal_port):
        assert gateway.session_present == [False, False]
