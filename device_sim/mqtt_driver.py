"""Connections for a small fleet through aiomqtt, which shares no code with the gateway's own session."""

import asyncio
from collections.abc import Callable, Sequence
from random import Random

import aiomqtt

from device_sim.driver import Address, Listener, Message, Party
from device_sim.packets import Mqtt5

MAX_DEVICES = 200
"""Each client costs three tasks and 100 microseconds per message: beyond it take the lean driver."""
_MAX_WAITING = 64
_KEEP_ALIVE_S = 60
_FIRST_RETRY_S = 0.5
_MAX_RETRY_S = 20.0


class MqttDriver:
    """Keeps one client per device connected; see `device_sim.driver.Driver`."""

    def __init__(
        self,
        broker: Address,
        parties: Sequence[Party],
        listener: Listener,
        *,
        chance: Random,
        clock_s: Callable[[], float],
    ) -> None:
        if len(parties) > MAX_DEVICES:
            raise ValueError(f"{len(parties)} clients; this driver is for at most {MAX_DEVICES}")
        self._refused = 0
        self._broker = broker
        self._parties = parties
        self._listener = listener
        self._chance = chance
        self._clock_s = clock_s
        self._party_of = {device: key for key, party in enumerate(parties) for device in party.devices}
        self._outboxes: list[asyncio.Queue[Message] | None] = [None] * len(parties)
        self._talks: list[asyncio.Task[None] | None] = [None] * len(parties)
        self._attempts = [0] * len(parties)
        self._not_before_s = [0.0] * len(parties)

    @property
    def connected_count(self) -> int:
        return sum(
            len(party.devices)
            for party, outbox in zip(self._parties, self._outboxes, strict=True)
            if outbox is not None
        )

    @property
    def refused_count(self) -> int:
        return self._refused

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for key in range(len(self._parties)):
                tasks.create_task(self._stay_connected(key))

    def publish(self, message: Message) -> bool:
        outbox = self._outboxes[self._party_of[message.device]]
        if outbox is None or outbox.full():
            return False
        outbox.put_nowait(message)
        return True

    def cut(self, device: int, *, for_s: float) -> bool:
        key = self._party_of[device]
        if len(self._parties[key].devices) > 1:
            return False
        self._not_before_s[key] = self._clock_s() + for_s
        talk = self._talks[key]
        if talk is not None:
            talk.cancel()
        return True

    async def _stay_connected(self, key: int) -> None:
        """Again and again, ever more seldom while no dial gets as far as a session."""
        while True:
            self._talks[key] = talk = asyncio.ensure_future(self._talk(key))
            try:
                await asyncio.wait([talk])
            finally:
                talk.cancel()
            full_s = min(_MAX_RETRY_S, _FIRST_RETRY_S * 2.0 ** min(self._attempts[key], 10))
            self._attempts[key] += 1
            spell_s = max(0.0, self._not_before_s[key] - self._clock_s())
            await asyncio.sleep(spell_s + full_s * (0.5 + 0.5 * self._chance.random()))

    async def _talk(self, key: int) -> None:
        """One connection from dialling to its end; ends quietly when the network fails."""
        party = self._parties[key]
        unconfirmed: dict[int, Message] = {}
        try:
            async with self._client(party) as client:
                for topic in party.topics:
                    await client.subscribe(topic, qos=1)
                outbox: asyncio.Queue[Message] = asyncio.Queue(_MAX_WAITING)
                self._outboxes[key] = outbox
                self._attempts[key] = 0
                for device in party.devices:
                    self._listener.connected(device)
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._hear(client, party))
                    tasks.create_task(self._speak(client, outbox, unconfirmed))
        except* aiomqtt.MqttError:
            pass
        finally:
            self._gone(key, list(unconfirmed.values()))

    def _gone(self, key: int, unconfirmed: list[Message]) -> None:
        outbox, self._outboxes[key] = self._outboxes[key], None
        if outbox is None:
            self._refused += 1
            return
        while not outbox.empty():
            unconfirmed.append(outbox.get_nowait())
        for device in self._parties[key].devices:
            self._listener.disconnected(device, [m for m in unconfirmed if m.device == device])

    def _client(self, party: Party) -> aiomqtt.Client:
        modern = isinstance(party.framing, Mqtt5)
        return aiomqtt.Client(
            self._broker.host,
            self._broker.port,
            username=party.user,
            password=party.password,
            identifier=party.client_id,
            protocol=aiomqtt.ProtocolVersion.V5 if modern else aiomqtt.ProtocolVersion.V311,
            clean_session=None if modern else True,
            keepalive=_KEEP_ALIVE_S,
        )

    async def _hear(self, client: aiomqtt.Client, party: Party) -> None:
        async for message in client.messages:
            device = party.topics.get(str(message.topic))
            if device is not None and isinstance(message.payload, bytes):
                self._listener.delivered(device, str(message.topic), message.payload)

    async def _speak(
        self, client: aiomqtt.Client, outbox: asyncio.Queue[Message], unconfirmed: dict[int, Message]
    ) -> None:
        while True:
            message = await outbox.get()
            unconfirmed[0] = message
            started_s = self._clock_s()
            await client.publish(message.topic, message.payload, qos=1)
            del unconfirmed[0]
            self._listener.confirmed(message, self._clock_s() - started_s, 0)
