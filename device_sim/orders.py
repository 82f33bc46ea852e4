"""What a command does to a life: a bolt opens, a bank leaves, a door opens, and somebody makes use of it."""

from random import Random
from typing import NamedTuple

from device_sim.bike import Bike
from device_sim.cabinet import Cabinet
from device_sim.happenings import Event, Happening
from device_sim.locker import Locker
from device_sim.world import Life, World
from firmware_protocol.commands import AckResult, Command, CommandKind

OF_A_BOLT = frozenset({CommandKind.UNLOCK, CommandKind.LOCK})
OF_A_SLOT = frozenset({CommandKind.EJECT, CommandKind.OPEN_SLOT})
OPENING = OF_A_SLOT | {CommandKind.UNLOCK}
MOVING = OF_A_BOLT | OF_A_SLOT
"""Kinds that turn a motor."""

_LEAVES_AFTER_S = (20.0, 90.0)
"""From the open bolt to the ride, or until the rider thinks better of it."""
_RESERVED_S = 240.0
"""Longer than a gateway holds a command against what reports show: until then nothing opens without a command."""
_HEARTBEATS_S = range(10, 86_401)

JAMMED = "jammed"
BUSY = "busy"


class Deed(NamedTuple):
    """How an attempt ended, and what there is to report."""

    result: AckResult
    reason: str | None = None
    happening: Happening | None = None


class Orders:
    """Lives under orders. `life_speed` is simulated seconds per second: what follows an order in the gateway's own
    time is kept apart from what the town does."""

    def __init__(self, world: World, chance: Random, *, life_speed: float) -> None:
        self._world = world
        self._chance = chance
        self._reserved_ms = round(_RESERVED_S * life_speed * 1000)

    def refusal(self, index: int, command: Command) -> str | None:
        """Why the device does not even try."""
        life, kind = self._world.lives[index], command.kind
        supported = {Bike: OF_A_BOLT, Cabinet: {CommandKind.EJECT}, Locker: {CommandKind.OPEN_SLOT}}[
            type(life)
        ]
        if kind in MOVING and kind not in supported:
            return "unsupported"
        if kind in OF_A_SLOT and not 1 <= command.slot <= life.profile.slot_count:
            return "no_such_slot"
        if kind is CommandKind.CONFIGURE and not _can_be_set(command):
            return "bad_setting"
        if isinstance(life, Bike) and kind is CommandKind.LOCK and life.riding:
            return "in_motion"
        return "slot_empty" if isinstance(life, Cabinet) and not _holds(life, command) else None

    def carry_out(self, index: int, command: Command) -> Deed:
        """The attempt itself, at the present simulated instant."""
        life = self._world.lives[index]
        self._reserve(life, command.slot)
        match life, command.kind:
            case Bike(), CommandKind.UNLOCK:
                return self._unlock(index, life)
            case Bike(), CommandKind.LOCK:
                life.close()
            case Cabinet(), CommandKind.EJECT:
                bank = life.eject(command.slot - 1, self._world.now_ms)
                if bank is None:
                    return Deed(AckResult.FAILED, "slot_empty")
                self._world.bring_back(bank, index)
            case Locker(), CommandKind.OPEN_SLOT if command.slot - 1 not in life.open_doors:
                life.open(command.slot - 1)
                self._world.close_later(index, command.slot - 1)
            case _, CommandKind.CONFIGURE:
                _set(life, command)
            case _, CommandKind.LOCATE:
                return Deed(AckResult.EXECUTED)
        return self._done(index, keep=command.kind in MOVING)

    def jam(self, index: int) -> Deed:
        """The motor turns in vain; a mechanic will see to a bike."""
        life = self._world.lives[index]
        if isinstance(life, Bike) and not life.fault:
            life.fault = "bolt_jammed"
            self._world.await_service(index)
        return Deed(AckResult.FAILED, JAMMED, self._world.spoke(index, keep=True))

    def pretend(self, index: int) -> Deed:
        """Nothing moves."""
        return self._done(index, keep=True)

    def repeat(self, index: int, command: Command) -> Happening:
        """Once more what was done before: the counter of openings knows."""
        life = self._world.lives[index]
        if command.kind in OPENING:
            if isinstance(life, Bike):
                life.openings += 1
            else:
                life.openings[command.slot - 1] += 1
        return self._world.spoke(index, keep=True)

    def _unlock(self, index: int, bike: Bike) -> Deed:
        if bike.riding or bike.unlocked:
            return self._done(index, keep=True)
        if bike.fault:
            return self.jam(index)
        bike.unlock()
        self._world.after(self._chance.uniform(*_LEAVES_AFTER_S), index, Event.LEAVE, bike.ride_number)
        return self._done(index, keep=True)

    def _done(self, index: int, *, keep: bool) -> Deed:
        return Deed(AckResult.EXECUTED, None, self._world.spoke(index, keep=keep))

    def _reserve(self, life: Life, slot: int) -> None:
        until_ms = self._world.now_ms + self._reserved_ms
        if isinstance(life, Bike):
            life.reserved_until_ms = until_ms
        elif slot:
            life.reserved[slot - 1] = until_ms


def _holds(cabinet: Cabinet, command: Command) -> bool:
    return command.kind is not CommandKind.EJECT or cabinet.banks[command.slot - 1] is not None


def _can_be_set(command: Command) -> bool:
    """The only setting of these devices."""
    return all(name == "heartbeat_s" and value in _HEARTBEATS_S for name, value in command.settings.items())


def _set(life: Life, command: Command) -> None:
    heartbeat_s = command.settings.get("heartbeat_s")
    if isinstance(heartbeat_s, int):
        life.heartbeat_s = heartbeat_s
