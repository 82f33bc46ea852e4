"""A one-shot for a device that is away waits for it nowhere: not at the broker, not at the gateway."""

from datetime import datetime
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from bench.faults.obeying_town import bikes
from cli.stack import Stack
from device_sim.fleet import password
from firmware_protocol.messages import Bolt, DeviceId, Hello, Lock, Report
from firmware_protocol.topics import command_topic
from tests.support.device_client import V5, V311
from tests.support.gateway_rig import Bridge, bridge
from tests.support.stored import ask
from tests.support.unlock_town import UnlockTown, servers
from tests.support.waiting import until

SESSIONS = [(version, keeps) for version in (V311, V5) for keeps in (False, True)]


class Absentee:
    """The MQTT half of a device: a session of one kind, and what it heard."""

    def __init__(self, port: int, device_id: DeviceId, kind: tuple[MQTTProtocolVersion, bool]) -> None:
        version, keeps = kind
        self.device_id = device_id
        self.heard: list[bytes] = []
        self._port = port
        self._subscribed: list[int] = []
        clean = None if version is V5 else not keeps
        self._options: dict[str, object] = {}
        if version is V5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho says nothing
            properties.SessionExpiryInterval = 86_400 if keeps else 0
            self._options = {"clean_start": not keeps, "properties": properties}
        self._version, self._clean = version, clean
        self._client = self._new()

    def come(self) -> None:
        """Connected and subscribed, as at every connect."""
        self._subscribed.clear()
        self._client = self._new()
        self._client.connect("127.0.0.1", self._port, **self._options)  # type: ignore[arg-type]  # by name
        self._client.loop_start()
        until(self._client.is_connected)
        self._client.subscribe(command_topic(self.device_id), qos=1)
        until(lambda: self._subscribed)

    def _new(self) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self.device_id,
            protocol=self._version,
            clean_session=self._clean,
        )
        client.username_pw_set(self.device_id, password(b"trial", self.device_id))
        client.on_message = lambda _c, _u, message: self.heard.append(bytes(message.payload))
        client.on_subscribe = lambda *_: self._subscribed.append(1)
        return client

    def has_heard(self) -> bool:
        return bool(self.heard)

    def go(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def leaves_its_state(one: Absentee, town: UnlockTown, wire: Bridge) -> None:
    """It was there, said hello, was closed, and went."""
    one.come()
    wire.hello(one.device_id, Hello(1, "sim-bike"))
    until(lambda: town.boot(one.device_id))
    boot, lock = town.boot(one.device_id), Lock(Bolt.CLOSED, openings=5)
    wire.report(one.device_id, Report(boot=boot, seq=1, elapsed_ms=1, lock=lock, battery_pct=80))
    one.heard.clear()
    one.go()


def test_who_was_away_hears_nothing_of_it_whatever_session_it_had(
    stack: Stack, database: str, redis_url: str, tmp_path: Path
) -> None:
    """The two hours are emulated: the times of the commands are set back by as much before the devices return."""
    fleet = bikes(len(SESSIONS), seed=1)
    with servers(stack, database, fleet, tmp_path) as made, bridge(stack) as wire:
        port = stack.broker.device_port
        absent = [Absentee(port, one, kind) for one, kind in zip(fleet.device_ids, SESSIONS, strict=True)]
        for one in absent:
            leaves_its_state(one, made, wire)
        until(lambda: all(made.knows(one.device_id) for one in absent))
        commands = [made.issue(one.device_id, ttl_s=3) for one in absent]
        ends = [made.end_of(command) for command in commands]
        assert {end["phase"] for end in ends} == {"unconfirmed"}
        assert all(told_after_s(made, command) <= 5.0 for command in commands)
        shift = ", ".join(
            f"{name} = {name} - interval '2 hours'" for name in ("issued_at", "not_after", "sent_at")
        )
        ask(database, f"update command set {shift}")
        for one in absent:
            one.come()
            # Whatever was kept for the device comes before what is new.
            wire.wait_taken([wire.publish(command_topic(one.device_id), b"new")])
            until(one.has_heard)
            assert one.heard == [b"new"]
            one.go()


def told_after_s(town: UnlockTown, command: dict[str, str]) -> float:
    """From the issue to the line that ends the waiting, as the story dates them."""
    lines = town.client.get(f"/v1/commands/{command['id']}/timeline")["lines"]
    (told,) = [line["at"] for line in lines if line["what"] == "deadline"]
    return (datetime.fromisoformat(told) - datetime.fromisoformat(command["issued_at"])).total_seconds()
