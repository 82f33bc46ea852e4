"""Ten thousand MQTT connections in one process, each a device with its own name and password."""

import asyncio
from collections.abc import Callable, Sequence
from random import Random

from device_sim.driver import Address, Listener, Message, Party
from device_sim.lean_line import LeanLine

CONNECTS_PER_S = 400.0
"""Brokers keep a short listen queue: a burst above it costs every second device a SYN retry of a second."""
MAX_DIALLING = 64
"""Connections that are being opened at once: below the listen backlog of 100 that mosquitto has."""
_TEND_EVERY_S = 5.0
_FIRST_RETRY_S = 0.5
_MAX_RETRY_S = 20.0
_DIAL_TIMEOUT_S = 20.0


class LeanDriver:
    """Keeps one line per party open; see `device_sim.driver.Driver`."""

    def __init__(
        self,
        broker: Address,
        parties: Sequence[Party],
        listener: Listener,
        *,
        chance: Random,
        clock_s: Callable[[], float],
        connects_per_s: float = CONNECTS_PER_S,
    ) -> None:
        self._refused = 0
        self._broker = broker
        self._parties = parties
        self._listener = listener
        self._chance = chance
        self._clock_s = clock_s
        self._connects_per_s = connects_per_s
        self._party_of = {device: key for key, party in enumerate(parties) for device in party.devices}
        self._lines: list[LeanLine | None] = [None] * len(parties)
        self._attempts = [0] * len(parties)
        self._not_before_s = [0.0] * len(parties)
        self._connected = 0
        self._to_dial: asyncio.Queue[int] = asyncio.Queue()
        self._stopping = False

    @property
    def connected_count(self) -> int:
        return self._connected

    @property
    def refused_count(self) -> int:
        return self._refused

    async def run(self) -> None:
        """Dial every party, paced; again, with jitter, whenever one is cut off; close all when cancelled."""
        for key in range(len(self._parties)):
            self._to_dial.put_nowait(key)
        room = asyncio.Semaphore(MAX_DIALLING)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._tend())
                while True:
                    key = await self._to_dial.get()
                    await room.acquire()
                    dial = tasks.create_task(self._dial(key))
                    dial.add_done_callback(lambda _: room.release())
                    await asyncio.sleep(1.0 / self._connects_per_s)
        finally:
            self._stopping = True
            for line in self._lines:
                if line is not None:
                    line.close()

    def publish(self, message: Message) -> bool:
        line = self._lines[self._party_of[message.device]]
        return line is not None and line.publish(message)

    def cut(self, device: int, *, for_s: float) -> bool:
        key = self._party_of[device]
        if len(self._parties[key].devices) > 1:
            return False
        self._not_before_s[key] = self._clock_s() + for_s
        line = self._lines[key]
        if line is not None:
            line.abort()
        return True

    # --- called by the lines ---------------------------------------------------------------------

    def line_up(self, line: LeanLine) -> None:
        self._attempts[line.key] = 0
        devices = self._parties[line.key].devices
        self._connected += len(devices)
        for device in devices:
            self._listener.connected(device)

    def line_down(self, line: LeanLine) -> None:
        self._lines[line.key] = None
        self._refused += line.refusal != 0
        devices = self._parties[line.key].devices
        if line.was_up and not self._stopping:
            self._connected -= len(devices)
            unconfirmed = line.unconfirmed()
            for device in devices:
                self._listener.disconnected(device, [m for m in unconfirmed if m.device == device])
        self._retry(line.key)

    def line_confirmed(self, message: Message, took_s: float, refusal: int) -> None:
        self._listener.confirmed(message, took_s, refusal)

    def line_delivered(self, line: LeanLine, topic: str, payload: bytes) -> None:
        device = self._parties[line.key].topics.get(topic)
        if device is not None:
            self._listener.delivered(device, topic, payload)

    # --- dialling --------------------------------------------------------------------------------

    async def _dial(self, key: int) -> None:
        line = LeanLine(key, self._parties[key], listener=self, clock_s=self._clock_s)
        self._lines[key] = line
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_DIAL_TIMEOUT_S):
                await loop.create_connection(lambda: line, self._broker.host, self._broker.port)
        except (OSError, TimeoutError):
            self._lines[key] = None
            self._retry(key)

    def _retry(self, key: int) -> None:
        """Doubling, of which the upper half is chance: a fleet cut off together must not return together."""
        if self._stopping:
            return
        full_s = min(_MAX_RETRY_S, _FIRST_RETRY_S * 2.0 ** min(self._attempts[key], 10))
        self._attempts[key] += 1
        spell_s = max(0.0, self._not_before_s[key] - self._clock_s())
        delay_s = spell_s + full_s * (0.5 + 0.5 * self._chance.random())
        asyncio.get_running_loop().call_later(delay_s, self._to_dial.put_nowait, key)

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(_TEND_EVERY_S)
            now_s = self._clock_s()
            for line in self._lines:
                if line is not None:
                    line.tend(now_s)
