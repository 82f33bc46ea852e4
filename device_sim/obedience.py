"""Carries out what devices accept, in the simulator's own time, and lets misbehaving ones misbehave."""

from collections.abc import Sequence
from heapq import heappop, heappush
from random import Random
from typing import NamedTuple, Protocol

from device_sim.device import FullDevice, Heard, Order
from device_sim.driver import Message
from device_sim.happenings import Happening
from device_sim.misbehaviour import PAST_EXPIRY_MS, Misbehaviour
from device_sim.orders import BUSY, MOVING, Deed, Orders
from device_sim.truth import Done
from firmware_protocol.commands import AckResult, Command, CommandKind

MOTOR_MS = (300, 1_500)
"""From the command to the end position of a bolt."""
UNWILLING = "maintenance"


class Mouth(Protocol):
    """Through which a device speaks, and where its power comes from."""

    def send(self, messages: Sequence[Message]) -> None: ...

    def say(self, happening: Happening) -> None:
        """The report of it."""

    def lose_power(self, device: int, *, forgets: bool) -> None:
        """It is back seconds later."""


class _Doing(NamedTuple):
    due_ms: int
    number: int
    device: FullDevice
    order: Order
    power_on: int
    began_ms: int


class Obedience:
    """The hands of a fleet."""

    def __init__(self, orders: Orders, mouth: Mouth, chance: Random) -> None:
        self.done: list[Done] = []
        """To be taken by whoever keeps them."""
        self._orders = orders
        self._mouth = mouth
        self._chance = chance
        self._doing: list[_Doing] = []
        self._busy: dict[tuple[int, int], int] = {}
        self._count = 0

    def begin(self, device: FullDevice, order: Order, now_ms: int, unix_ms: int) -> None:
        """The device took a command: refused at once, answered at once, or a motor turns."""
        command, moves = order.command, order.command.kind in MOVING
        if order.heard is Heard.LATE:
            # Whatever network brought it, this modem hands it on too late.
            wait_ms = max(0, command.not_after_s * 1000 - unix_ms) + self._chance.randint(*PAST_EXPIRY_MS)
            self._start(device, order, now_ms + wait_ms, unix_ms + wait_ms)
            return
        if order.heard is Heard.ANEW:
            reason = self._refusal(device, command, moves=moves)
            if reason is not None:
                self._answer(device, command, Deed(AckResult.REFUSED, reason), now_ms)
                return
        if moves:
            self._busy[device.number, command.slot] = device.power_ons
            self._start(device, order, now_ms + self._chance.randint(*MOTOR_MS), unix_ms)
        else:
            self._carry_out(device, order, now_ms, unix_ms)

    def tick(self, now_ms: int) -> None:
        """Ends what is due."""
        while self._doing and self._doing[0].due_ms <= now_ms:
            doing = heappop(self._doing)
            # Without power no motor turns.
            if doing.device.power_ons == doing.power_on:
                self._busy.pop((doing.device.number, doing.order.command.slot), None)
                self._carry_out(doing.device, doing.order, now_ms, doing.began_ms)

    def _refusal(self, device: FullDevice, command: Command, *, moves: bool) -> str | None:
        if moves and self._busy.get((device.number, command.slot)) == device.power_ons:
            return BUSY
        reason = self._orders.refusal(device.number, command)
        if reason is None and moves and device.misbehaviour is Misbehaviour.REFUSES:
            return UNWILLING
        return reason

    def _start(self, device: FullDevice, order: Order, due_ms: int, began_ms: int) -> None:
        self._count += 1
        heappush(self._doing, _Doing(due_ms, self._count, device, order, device.power_ons, began_ms))

    def _carry_out(self, device: FullDevice, order: Order, now_ms: int, began_ms: int) -> None:
        command = order.command
        if order.heard is Heard.AGAIN:
            self._note(device, command, began_ms)
            self._mouth.say(self._orders.repeat(device.number, command))
            return
        deed = self._deed(device, command, began_ms)
        if order.heard is Heard.LATE:
            self._mouth.send(device.executed_late(command, began_ms))
        elif device.misbehaviour is Misbehaviour.LOSES_POWER_BEFORE_ACK and command.kind in MOVING:
            self._mouth.lose_power(device.number, forgets=False)
            return
        else:
            self._answer(device, command, deed, now_ms)
        self._after(device, command, deed)

    def _after(self, device: FullDevice, command: Command, deed: Deed) -> None:
        """What the device does when it has answered."""
        moved = command.kind in MOVING and deed.result is AckResult.EXECUTED
        forgets = device.misbehaviour is Misbehaviour.REBOOTS_FORGETFUL
        if command.kind is CommandKind.REBOOT or (
            moved and (forgets or device.misbehaviour is Misbehaviour.REBOOTS_REMEMBERING)
        ):
            self._mouth.lose_power(device.number, forgets=forgets and moved)
        elif deed.happening is not None:
            self._mouth.say(deed.happening)

    def _deed(self, device: FullDevice, command: Command, began_ms: int) -> Deed:
        if command.kind in MOVING:
            if device.misbehaviour is Misbehaviour.JAMS:
                return self._orders.jam(device.number)
            if device.misbehaviour is Misbehaviour.ACKS_WITHOUT_OPENING:
                return self._orders.pretend(device.number)
        deed = self._orders.carry_out(device.number, command)
        if deed.result is AckResult.EXECUTED:
            self._note(device, command, began_ms)
        return deed

    def _note(self, device: FullDevice, command: Command, began_ms: int) -> None:
        self.done.append(Done(device.device_id, command, began_ms))

    def _answer(self, device: FullDevice, command: Command, deed: Deed, now_ms: int) -> None:
        self._mouth.send(device.executed(command.command_id, deed.result, deed.reason, now_ms))
