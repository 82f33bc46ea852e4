"""A gateway process on the private servers, devices that speak through the bridge, and eyes on what came of it."""

import json
import queue
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from types import MappingProxyType
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from cli.child_process import ChildProcess
from cli.stack import Stack
from firmware_protocol.codec import Encoding, encode_hello, encode_report
from firmware_protocol.messages import DeviceId, Hello, Report
from firmware_protocol.topics import hello_topic, report_topic
from gateway.core.device import DeviceModel, Kind
from gateway.stores.registration import NewDevice, bulk_register
from tests.support.kept_connection import KEPT
from tests.support.nursery import forked
from tests.support.waiting import until

MODEL = DeviceModel("rig-bike", Kind.BIKE, heartbeat_s=60, quiet_after_s=150, lost_after_s=600)


def device_ids(count: int, group: str = "rig") -> list[DeviceId]:
    return [DeviceId(f"{group}-{number:04d}") for number in range(count)]


class Bridge:
    """Speaks and listens as any device, QoS 1, through the bridge user."""

    def __init__(self, stack: Stack) -> None:
        self.heard: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="rig-bridge", protocol=paho.MQTTv5)
        self._client.username_pw_set(stack.broker.bridge_user, stack.broker.bridge_password)
        self._client.max_inflight_messages_set(1_000)
        self._client.on_message = lambda client, given, message: self.heard.put(
            (message.topic, bytes(message.payload))
        )
        self._client.connect("127.0.0.1", stack.broker.internal_port)
        self._client.loop_start()

    def listen(self, topic: str) -> None:
        """Returns once the broker has subscribed."""
        done: list[int] = []
        self._client.on_subscribe = lambda *given: done.append(1)
        self._client.subscribe(topic, qos=1)
        until(lambda: done, what=f"subscribed to {topic}")

    def publish(self, topic: str, payload: bytes) -> paho.MQTTMessageInfo:
        return self._client.publish(topic, payload, qos=1)

    def report(self, device_id: DeviceId, report: Report) -> paho.MQTTMessageInfo:
        return self.publish(report_topic(device_id), encode_report(report, encoding=Encoding.CBOR))

    def hello(self, device_id: DeviceId, hello: Hello) -> None:
        self.publish(hello_topic(device_id), encode_hello(hello, encoding=Encoding.CBOR))

    def report_all(self, devices: Sequence[DeviceId], seqs: range, *, keep: bool = False) -> int:
        """One basic report per device and seq; returns, once the broker has them all, how many."""
        sent = [
            self.report(device_id, Report(seq=seq, battery_pct=50, keep=keep))
            for seq in seqs
            for device_id in devices
        ]
        self.wait_taken(sent)
        return len(sent)

    def wait_taken(self, sent: Sequence[paho.MQTTMessageInfo]) -> None:
        """Returns once the broker has taken all of them."""
        until(lambda: all(one.is_published() for one in sent), what="PUBACK for every report")

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


STORED = """
    select device_no, report_all.boot, seq from report_all join device using (device_no) where device_id = any(%s)
"""


class GatewayRig:
    """One gateway and everything around it; several tests may share the gateway, each with devices of its own."""

    def __init__(
        self,
        stack: Stack,
        dsn: str,
        folder: Path,
        devices: Sequence[DeviceId],
        *,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.stack = stack
        self.dsn = dsn
        self.devices = devices
        self.process = ChildProcess(
            ["gateway"], stack.environment(dsn=dsn) | dict(settings), folder, spawn=forked
        )
        self._groups = 0
        self._register(devices)

    @contextmanager
    def lent(self, devices: int = 20) -> Iterator["GatewayRig"]:
        """The same gateway, ready and at rest, with that many new devices. It may be left in any state."""
        if not self.process.running:
            self.process.start()
        self.wait_ready()
        self.wait_at_rest()
        self._groups += 1
        other = copy(self)
        other.devices = device_ids(devices, f"rig-{self._groups}")
        other._register(other.devices)
        yield other

    def _register(self, devices: Sequence[DeviceId]) -> None:
        with KEPT.to(self.dsn) as connection, connection.transaction():
            bulk_register(connection, [MODEL], [NewDevice(one, MODEL.model) for one in devices])

    def rows(self, sql: str, *arguments: object) -> list[tuple[Any, ...]]:
        with KEPT.to(self.dsn) as connection:
            return connection.execute(sql.encode(), arguments).fetchall()

    def stored(self) -> int:
        """Rows of history of its devices; every (device, boot, seq) must be there once only."""
        rows = self.rows(STORED, list(self.devices))
        assert len(rows) == len(set(rows)), "a report is stored twice"
        return len(rows)

    def has_stored(self, count: int) -> bool:
        return self.stored() >= count

    def wait_stored(self, count: int, *, deadline_s: float = 30.0) -> None:
        until(lambda: self.has_stored(count), deadline_s=deadline_s, what=f"{count} reports stored")
        assert self.stored() == count

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of one page of the gateway."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.process.http_port}{path}", timeout=10
            ) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()

    def metric(self, series: str) -> float:
        """The value of a series such as `latchkey_reports_total{outcome="late"}`; 0 when it is absent."""
        for line in self.get("/metrics")[1].splitlines():
            name, _, value = line.rpartition(" ")
            if name == series:
                return float(value)
        return 0.0

    def reasons(self) -> list[str]:
        """Why it is not ready."""
        reasons: list[str] = json.loads(self.get("/readyz")[1])["reasons"]
        return reasons

    def wait_ready(self) -> None:
        until(lambda: self.get("/readyz")[0] == 200, what="the gateway is ready again")

    def wait_at_rest(self) -> None:
        """Whatever it has read is stored, applied, counted and acknowledged."""
        until(lambda: self.metric("latchkey_pending_reports") == 0, what="nothing is on its way")


@contextmanager
def gateway_rig(
    stack: Stack, dsn: str, folder: Path, *, devices: int = 20, **settings: str
) -> Iterator[GatewayRig]:
    """A ready gateway, and registered devices; the gateway is ended at the end. `settings` are its own, beside those
    of every test."""
    rig = GatewayRig(stack, dsn, folder, device_ids(devices), settings=settings)
    try:
        rig.process.start()
        yield rig
    finally:
        rig.process.close()


@contextmanager
def bridge(stack: Stack) -> Iterator[Bridge]:
    """A connected bridge."""
    speaker = Bridge(stack)
    try:
        yield speaker
    finally:
        speaker.close()
