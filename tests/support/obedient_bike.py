"""A bike at a real broker that does what `DeviceSession` says, and whose test decides what it keeps to itself."""

import asyncio
import time
from collections.abc import Callable, Sequence
from random import Random

import aiomqtt

from firmware_protocol import topics
from firmware_protocol.commands import AckResult, Command, CommandKind
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.device_session import DeviceSession, Identity
from firmware_protocol.effects import Effect, Execute, Publish, Remember, Subscribe
from firmware_protocol.messages import Bolt, DeviceId, Fix, Lock, Report

RETRY_S = 0.1
TICK_S = 0.05


class ObedientBike:
    """Connects again for ever; remembers through everything, as flash does."""

    def __init__(
        self,
        port: int,
        device_id: DeviceId,
        password: str,
        key: DeviceKey,
        model: str,
        *,
        fix: Fix | None = None,
    ) -> None:
        self.deeds: list[Command] = []
        """Every opening."""
        self.heard: list[bytes] = []
        """Every command frame that arrived."""
        self.says_acks = True
        self.says_reports = True
        self.executing: Callable[[], None] = lambda: None
        """Called when a command was carried out and nothing is said about it yet."""
        self.online = asyncio.Event()
        self._port = port
        self._device_id = device_id
        self._password = password
        self._fix = fix
        self._openings = 0
        self._bolt = Bolt.CLOSED
        self._began_s = time.monotonic()
        self._ack_topic = topics.ack_topic(device_id)
        self._command_topic = topics.command_topic(device_id)
        self._client: aiomqtt.Client | None = None
        identity = Identity(device_id, model, "1.0")
        self.session = DeviceSession(identity, Random(device_id), keys=(key,))

    def now_ms(self) -> int:
        return int((time.monotonic() - self._began_s) * 1000)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._talk()
            except* aiomqtt.MqttError:
                pass
            finally:
                self.online.clear()
                self._client = None
                self.session.disconnected(self.now_ms())
            await asyncio.sleep(RETRY_S)

    async def close_bolt(self) -> None:
        """A person pushes it shut."""
        self._bolt = Bolt.CLOSED
        await self.report()

    async def report(self) -> None:
        """Says how it is."""
        lock = Lock(self._bolt, openings=self._openings)
        report = Report(keep=True, fix=self._fix, lock=lock, battery_pct=80, moving=False)
        await self._carry_out(self.session.report(report, self.now_ms()))

    async def _talk(self) -> None:
        async with aiomqtt.Client(
            "127.0.0.1",
            self._port,
            identifier=self._device_id,
            username=self._device_id,
            password=self._password,
            protocol=aiomqtt.ProtocolVersion.V5,
        ) as client:
            self._client = client
            await self._carry_out(self.session.connected(self.now_ms()))
            self.online.set()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._hear(client))
                group.create_task(self._tick())

    async def _hear(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            payload = bytes(message.payload)
            if message.topic.value == self._command_topic:
                self.heard.append(payload)
            await self._carry_out(self.session.received(message.topic.value, payload, self.now_ms()))
        raise aiomqtt.MqttError("the broker has gone")

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            due_ms = self.session.next_wakeup_ms()
            if due_ms is not None and due_ms <= self.now_ms():
                await self._carry_out(self.session.woken(self.now_ms()))

    async def _carry_out(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Subscribe() if self._client is not None:
                    for topic in effect.topics:
                        await self._client.subscribe(topic, qos=1)
                case Publish():
                    await self._publish(effect)
                case Remember():
                    self.session.remember()
                case Execute():
                    await self._execute(effect.command)

    async def _publish(self, effect: Publish) -> None:
        is_ack = effect.topic == self._ack_topic
        muted = is_ack and not self.says_acks
        if effect.topic == topics.report_topic(self._device_id):
            muted = not self.says_reports
        if self._client is not None and not muted:
            await self._client.publish(effect.topic, effect.payload, qos=effect.qos)

    async def _execute(self, command: Command) -> None:
        if command.kind is CommandKind.UNLOCK:
            self.deeds.append(command)
            self._bolt = Bolt.OPEN
            self._openings += 1
        self.executing()
        await self._carry_out(self.session.executed(command.command_id, AckResult.EXECUTED, self.now_ms()))
        await self.report()
