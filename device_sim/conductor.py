"""Joins lives, devices, faults and connections: who says what, when, and what becomes of it."""

from collections.abc import Sequence
from heapq import heappop, heappush
from random import Random

from device_sim.device import MAX_UNCONFIRMED, FullDevice, SimDevice
from device_sim.driver import Driver, Message
from device_sim.faults import Weather
from device_sim.happenings import Happening
from device_sim.ledger import Ledger
from device_sim.obedience import Obedience
from device_sim.orders import Orders
from device_sim.world import World
from firmware_protocol import codec
from firmware_protocol.errors import MalformedFrame

REBOOT_TAKES_S = 3.0
"""From loss of power to the first packet of a modem that still knows its tower."""


class Conductor:
    """A `Listener` of the driver. It is told the time by `tick`, which must come many times a second."""

    def __init__(
        self, world: World, devices: Sequence[SimDevice], *, weather: Weather, ledger: Ledger
    ) -> None:
        self.driver: Driver | None = None
        self._world = world
        self._devices = devices
        self._weather = weather
        self._ledger = ledger
        self._now_ms = 0
        self._unix_ms = 0
        self._met = [False] * len(devices)
        self._again: dict[int, list[Message]] = {}
        self._delayed: list[tuple[int, int, Message]] = []
        self._wakeups: list[tuple[int, int]] = []
        self._wakeup_of: list[int | None] = [None] * len(devices)
        self._pushed = 0
        self._kept_share = 0.0
        self._chance = Random(0)
        self._obedience: Obedience | None = None

    def obey(self, chance: Random, *, life_speed: float) -> None:
        """From now on commands are carried out; `life_speed` is simulated seconds per second."""
        self._obedience = Obedience(Orders(self._world, chance, life_speed=life_speed), self, chance)

    def keep_also(self, share: float, chance: Random) -> None:
        """Keep this share of the reports that nothing hangs on, too."""
        self._kept_share = share
        self._chance = chance

    # --- time ------------------------------------------------------------------------------------

    def tick(self, now_ms: int, unix_ms: int, *, life_until_ms: int | None) -> None:
        """Let life go on to that simulated instant (None: it stands still), then send what is due."""
        passed_s = (now_ms - self._now_ms) / 1000 if self._now_ms else 0.0
        self._now_ms = now_ms
        self._unix_ms = unix_ms
        if life_until_ms is not None:
            self._strike(passed_s)
            for happening in self._world.advance(life_until_ms):
                self._say(happening)
        if self._obedience is not None:
            self._obedience.tick(now_ms)
            self._ledger.did(self._obedience.done)
            self._obedience.done.clear()
        self._send_delayed()
        self._wake()

    def last_words(self) -> None:
        """Every connected device states itself once more, so that its newest state is known to be sent."""
        for number, met in enumerate(self._met):
            if met:
                self._say(Happening(self._world.now_ms, number, keep=True))

    @property
    def delayed_count(self) -> int:
        return len(self._delayed)

    # --- called by the driver --------------------------------------------------------------------

    def connected(self, device: int) -> None:
        self._send(self._devices[device].connected(self._now_ms))
        self._send(self._again.pop(device, ()))
        if not self._met[device]:
            # Firmware says how things stand when it has powered up.
            self._met[device] = True
            self._say(Happening(self._world.now_ms, device, keep=False))
        self._plan_wakeup(device)

    def disconnected(self, device: int, unconfirmed: Sequence[Message]) -> None:
        self._ledger.summary.disconnects += 1
        self._devices[device].disconnected(self._now_ms)
        plain = [message for message in unconfirmed if message.label and not message.label.keep]
        if plain:
            self._again[device] = plain[-MAX_UNCONFIRMED:]
            self._give_up(plain[:-MAX_UNCONFIRMED])

    def confirmed(self, message: Message, took_s: float, refusal: int) -> None:
        self._ledger.latencies.add(took_s)
        if message.label is not None:
            self._ledger.confirmed(message, message.label, refusal, now_ms=self._unix_ms)

    def delivered(self, device: int, topic: str, payload: bytes) -> None:
        self._book(device, topic, payload)
        listener = self._devices[device]
        self._send(listener.heard(topic, payload, self._now_ms))
        if self._obedience is not None and isinstance(listener, FullDevice):
            for order in listener.take_orders():
                self._obedience.begin(listener, order, self._now_ms, self._unix_ms)
        self._plan_wakeup(device)

    # --- called by who carries commands out --------------------------------------------------------

    def send(self, messages: Sequence[Message]) -> None:
        """Of a device, now."""
        self._send(messages)

    def say(self, happening: Happening) -> None:
        """The report of it."""
        self._say(happening)

    def lose_power(self, device: int, *, forgets: bool) -> None:
        """It is back after some seconds, and says how things stand."""
        self._reboot(device, forgets=forgets)

    # --- what devices say ------------------------------------------------------------------------

    def _say(self, happening: Happening) -> None:
        if self._kept_share and not happening.keep:
            happening = happening._replace(keep=self._chance.random() < self._kept_share)
        report = self._world.report(happening)
        device = self._devices[happening.device]
        self._send(device.say(report, self._now_ms, unix_ms=self._unix_ms))
        if report.keep:
            self._plan_wakeup(happening.device)

    def _send(self, messages: Sequence[Message]) -> None:
        for message in messages:
            flight = self._weather.flight()
            if message.label is not None:
                copies = max(1, len(flight.after_s))
                self._ledger.sent(message, message.label, self._unix_ms, copies=copies)
            if not flight.after_s:
                self._give_up([message])
            for delay_s in flight.after_s:
                after_s = delay_s + message.after_ms / 1000
                if after_s:
                    self._pushed += 1
                    heappush(self._delayed, (self._now_ms + round(after_s * 1000), self._pushed, message))
                else:
                    self._publish(message)

    def _publish(self, message: Message) -> None:
        assert self.driver is not None
        if not self.driver.publish(message):
            self._give_up([message])

    def _give_up(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if message.label is not None:
                self._ledger.given_up(message.device, message.label)

    def _send_delayed(self) -> None:
        while self._delayed and self._delayed[0][0] <= self._now_ms:
            self._publish(heappop(self._delayed)[2])

    # --- what devices hear -----------------------------------------------------------------------

    def _book(self, device: int, topic: str, payload: bytes) -> None:
        channel = topic.rpartition("/")[2]
        if channel == "welcome":
            self._ledger.summary.welcomes += 1
        elif channel == "receipt":
            try:
                stamps = codec.decode_receipt(payload).stamps
            except MalformedFrame:
                return
            for stamp in stamps:
                self._ledger.receipted(device, (stamp.boot, stamp.seq), self._unix_ms)

    # --- timers and faults -----------------------------------------------------------------------

    def _plan_wakeup(self, device: int) -> None:
        due_ms = self._devices[device].next_wakeup_ms()
        planned_ms = self._wakeup_of[device]
        if due_ms is not None and (planned_ms is None or due_ms < planned_ms):
            self._wakeup_of[device] = due_ms
            heappush(self._wakeups, (due_ms, device))

    def _wake(self) -> None:
        while self._wakeups and self._wakeups[0][0] <= self._now_ms:
            due_ms, device = heappop(self._wakeups)
            if self._wakeup_of[device] != due_ms:
                continue
            self._wakeup_of[device] = None
            self._send(self._devices[device].woken(self._now_ms))
            self._plan_wakeup(device)

    def _strike(self, passed_s: float) -> None:
        fleet = len(self._devices)
        for device in self._weather.reboots(fleet, passed_s):
            self._reboot(device)
        for device, spell_s in self._weather.offline_spells(fleet, passed_s):
            self._cut(device, for_s=spell_s)

    def _reboot(self, device: int, *, forgets: bool = False) -> None:
        self._devices[device].reboot(self._now_ms, forgets=forgets)
        self._give_up(self._again.pop(device, []))
        met, self._met[device] = self._met[device], False
        if not self._cut(device, for_s=REBOOT_TAKES_S) and met:
            # Behind a shared connection the device itself comes and goes.
            self.connected(device)

    def _cut(self, device: int, *, for_s: float) -> bool:
        assert self.driver is not None
        return self.driver.cut(device, for_s=for_s)
