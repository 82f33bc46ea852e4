"""Devices with a body: bolts and doors that open, flash that forgets, firmware that keeps the rules or does not."""

from collections.abc import Callable, Sequence
from random import Random

from firmware_protocol.codec import Encoding
from firmware_protocol.commands import FENCED, Ack, AckResult, Command, CommandKind
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.device_session import DeviceSession, Identity, Remembered
from firmware_protocol.effects import Connect, Effect, Execute, Publish, Remember
from firmware_protocol.errors import BadSeal, MalformedFrame
from firmware_protocol.messages import Bolt, DeviceId, Lock, Report, Slot
from firmware_protocol.signature import sign_ack, verify_command
from firmware_protocol.topics import ack_topic, command_topic
from tests.simulation.network import Network
from tests.simulation.scheduler import Scheduler
from tests.simulation.tempers import Execution, InSlot, Sensed, Temper

Act = Callable[[], None]

HEARTBEAT_MS = 10_000
SLOTS = 2
_OPENS_WITH = {"locker": CommandKind.OPEN_SLOT, "cabinet": CommandKind.EJECT}
NEVER_MS = 2**62


class SimDevice:
    """One device over all its power-ons."""

    def __init__(
        self,
        scheduler: Scheduler,
        network: Network,
        device_id: DeviceId,
        model: str,
        *,
        keys: Sequence[DeviceKey],
        temper: Temper,
    ) -> None:
        chance = scheduler.chance
        self.device_id = device_id
        self.temper = temper
        self.executions: list[Execution] = []
        self.powered = True
        self.power_ons = 0
        self.opens_with = _OPENS_WITH.get(model, CommandKind.UNLOCK)
        self._scheduler, self._network, self._keys = scheduler, network, tuple(keys)
        self._identity = Identity(device_id, model, "1.0", Encoding.CBOR)
        self._drift = 1 + chance.uniform(-50e-6, 50e-6)
        self._open = dict.fromkeys(
            (0,) if self.opens_with is CommandKind.UNLOCK else range(1, SLOTS + 1), False
        )
        self._openings = dict.fromkeys(self._open, 100)
        self._units = {slot: f"unit-{slot}" for slot in self._open}
        self._fences = dict.fromkeys(self._open, 0)
        self._executed_fences: dict[int, int] = {}
        self._obeyed: set[bytes] = set()
        self._flash = Remembered()
        network.devices[device_id] = self._hear
        self._power_on()

    # --- power -----------------------------------------------------------------------------------

    def lose_power(self, off_ms: float, *, forgets: bool = False) -> None:
        """Everything but flash and body is gone; `forgets`: flash too."""
        if self.powered:
            self.powered = False
            if forgets:
                self._flash = Remembered()
            self._scheduler.after(off_ms, f"{self.device_id} power on", self._power_on)

    def _power_on(self) -> None:
        self.powered = True
        self.power_ons += 1
        chance = Random(self._scheduler.chance.getrandbits(64))
        self._zero_ms = self._scheduler.now_ms - chance.randrange(5_000)
        self._linked = False
        self._wakes_ms = NEVER_MS
        self._session = DeviceSession(
            self._identity, chance, keys=self._keys, remembered=self._flash, now_ms=self._now_ms()
        )
        self._connect()
        self._heartbeat(self.power_ons)

    def _now_ms(self) -> int:
        return int((self._scheduler.now_ms - self._zero_ms) * self._drift)

    def _later(self, delay_ms: float, what: str, act: Act) -> None:
        """Unless power goes in between."""
        power_on = self.power_ons

        def due() -> None:
            if self.powered and self.power_ons == power_on:
                act()

        self._scheduler.after(delay_ms, f"{self.device_id} {what}", due)

    # --- link ------------------------------------------------------------------------------------

    def cut(self) -> None:
        """The link broke; the session tries again by itself."""
        if self.powered and self._linked:
            self._linked = False
            self._session.disconnected(self._now_ms())
            self._wake_later()

    def _connect(self) -> None:
        if self.device_id in self._network.partitioned:
            self._session.disconnected(self._now_ms())
        else:
            self._linked = True
            self._carry_out(self._session.connected(self._now_ms()))
        self._wake_later()

    def _wake_later(self) -> None:
        wake_ms = self._session.next_wakeup_ms()
        if wake_ms is not None and wake_ms < self._wakes_ms:
            self._wakes_ms = wake_ms
            self._later(max(1, wake_ms - self._now_ms()), "wakes", self._wake)

    def _wake(self) -> None:
        self._wakes_ms = NEVER_MS
        wake_ms = self._session.next_wakeup_ms()
        if wake_ms is not None and wake_ms <= self._now_ms():
            self._carry_out(self._session.woken(self._now_ms()))
        self._wake_later()

    def _heartbeat(self, power_on: int) -> None:
        if self.powered and self.power_ons == power_on:
            self._report(keep=False)
            self._scheduler.after(HEARTBEAT_MS, f"{self.device_id} beats", lambda: self._heartbeat(power_on))

    def _hear(self, topic: str, payload: bytes) -> None:
        if not self.powered or not self._linked:
            return
        if topic == command_topic(self.device_id) and self.temper in (
            Temper.IGNORES_EXPIRY,
            Temper.EXECUTES_DUPLICATES,
        ):
            self._obey_blindly(payload)
            return
        self._carry_out(self._session.received(topic, payload, self._now_ms()))

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Publish():
                    self._publish(effect)
                case Connect():
                    self._connect()
                case Remember():
                    self._flash = self._session.remember()
                case Execute():
                    self._execute(effect.command)
                case _:
                    pass

    def _publish(self, publish: Publish) -> None:
        if publish.topic == ack_topic(self.device_id):
            if self.temper is Temper.OPENS_WITHOUT_ACK:
                return
            if self.temper is Temper.ACKS_LATE:
                delay_ms = self._scheduler.chance.uniform(5_000, 40_000)
                self._later(delay_ms, "acks late", lambda: self._send(publish))
                return
            if self.temper is Temper.ACKS_TWICE:
                self._send(publish)
        self._send(publish)

    def _send(self, publish: Publish) -> None:
        self._network.publish_up(self.device_id, publish.topic, publish.payload)

    # --- body ------------------------------------------------------------------------------------

    def _execute(self, command: Command) -> None:
        chance = self._scheduler.chance
        if self.temper is Temper.REFUSES:
            self._answer(command, AckResult.REFUSED, "busy")
        elif self.temper is Temper.JAMS:
            self._answer(command, AckResult.FAILED, "jammed")
        elif self.temper is Temper.ACKS_WITHOUT_OPENING:
            self._answer(command, AckResult.EXECUTED, None)
        else:
            self._act(command)
            if self.temper is Temper.LOSES_POWER and chance.random() < 0.7:
                self.lose_power(chance.uniform(500, 8_000), forgets=chance.random() < 0.3)
            elif command.kind is CommandKind.REBOOT:
                self._answer(command, AckResult.EXECUTED, None)
                self.lose_power(chance.uniform(500, 3_000))
            else:
                took_ms = chance.uniform(50, 1_000)
                self._later(took_ms, "has acted", lambda: self._answer(command, AckResult.EXECUTED, None))

    def _act(self, command: Command) -> None:
        """The body moves: from here on there is no way back."""
        slot = command.slot
        before = self._executed_fences.get(slot, 0)
        true_ms = self._scheduler.true_ms
        self.executions.append(Execution(self.device_id, command, true_ms, before, self.power_ons))
        if command.kind in FENCED:
            self._executed_fences[slot] = max(before, command.fence)
        if command.kind is self.opens_with:
            self._open[slot] = True
            self._openings[slot] += 1
            # A rider takes what is there, and closes or brings something back.
            self._scheduler.after(
                self._scheduler.chance.uniform(2_000, 15_000),
                f"{self.device_id} closed",
                lambda: self._close(slot),
            )
        elif command.kind is CommandKind.LOCK:
            self._open[slot] = False

    def _close(self, slot: int) -> None:
        self._open[slot] = False
        if self._scheduler.chance.random() < 0.5:
            self._units[slot] = f"unit-{self._scheduler.chance.randrange(100)}"
        self._report(keep=True)

    def _answer(self, command: Command, result: AckResult, reason: str | None) -> None:
        now_ms = self._now_ms()
        self._carry_out(self._session.executed(command.command_id, result, now_ms, reason=reason))
        self._report(keep=True)
        self._wake_later()

    def _report(self, *, keep: bool) -> None:
        if self.powered:
            report = Report(keep=keep, battery_pct=80, firmware="1.0", **self._sensed())
            self._carry_out(self._session.report(report, self._now_ms()))
            self._wake_later()

    def _sensed(self) -> Sensed:
        if self.opens_with is CommandKind.UNLOCK:
            bolt = Bolt.OPEN if self._open[0] else Bolt.CLOSED
            return {"lock": Lock(bolt, self._fences[0], self._openings[0])}
        slots = tuple(
            Slot(slot, **self._in_slot(slot), last_fence=self._fences[slot], openings=self._openings[slot])
            for slot in self._open
        )
        return {"slots": slots}

    def _in_slot(self, slot: int) -> InSlot:
        """A locker has doors, a cabinet has units that are there or gone."""
        if self.opens_with is CommandKind.OPEN_SLOT:
            return {"door_closed": not self._open[slot]}
        return {"unit_id": None if self._open[slot] else self._units[slot]}

    # --- firmware that breaks the rules ----------------------------------------------------------

    def _obey_blindly(self, frame: bytes) -> None:
        """Ignores expiry; or ignores that it did it before. Its seal, boot and fence it knows as all do."""
        try:
            command = verify_command(frame, device_id=self.device_id, keys=self._keys)
        except (MalformedFrame, BadSeal):
            return
        again = command.command_id in self._obeyed
        if command.boot != self._session.boot or (again and self.temper is Temper.IGNORES_EXPIRY):
            return
        if not again and command.fence < self._fences.get(command.slot, 0):
            return
        if self.temper is Temper.EXECUTES_DUPLICATES and self._is_late(command):
            return
        self._obeyed.add(command.command_id)
        self._act(command)
        if command.slot in self._fences and command.kind in FENCED:
            self._fences[command.slot] = max(self._fences[command.slot], command.fence)
        self._ack_blindly(command)
        self._report(keep=True)

    def _is_late(self, command: Command) -> bool:
        """This one at least reads the clock, if a little generously."""
        return self._scheduler.true_ms >= command.not_after_s * 1000 - 1_000

    def _ack_blindly(self, command: Command) -> None:
        # Its clock is true enough to say when it acted.
        elapsed_ms = self._scheduler.true_ms - self._session.boot * 1000
        ack = Ack(
            command.command_id,
            AckResult.EXECUTED,
            self._session.boot,
            command.fence,
            command.slot,
            elapsed_ms=elapsed_ms,
        )
        frame = sign_ack(ack, device_id=self.device_id, key=self._keys[0])
        self._send(Publish(ack_topic(self.device_id), frame, 1))
