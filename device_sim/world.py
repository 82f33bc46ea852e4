"""What happens to a whole fleet, in order of simulated time, from a seed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from heapq import heappop, heappush
from random import Random
from typing import NamedTuple

from device_sim import demand
from device_sim.bike import Bike
from device_sim.cabinet import Bank, Cabinet
from device_sim.demand import Town
from device_sim.locker import Locker
from device_sim.movement import Place, bent_route, distance_m
from firmware_protocol.messages import Report

Life = Bike | Cabinet | Locker

JUMP_M = 100.0
"""A trip that starts farther from where the last one ended: somebody moved the bike in between."""
_DOOR_OPEN_S = (10.0, 45.0)
_SERVICE_AFTER_S = (1_800.0, 7_200.0)
_MIN_RIDE_S = 60.0


class Trip(NamedTuple):
    """One real ride of a file."""

    device: int
    """Index of the bike in the fleet."""
    starts_ms: int
    ends_ms: int
    start: Place
    end: Place


class Happening(NamedTuple):
    """A device has something to say."""

    at_ms: int
    device: int
    keep: bool
    """Something a rental may hang on: an opening, a return, a fault."""


class _Event(IntEnum):
    BEAT = 1
    TAKE = 2
    PUT = 3
    SERVICE = 4
    TRIP = 5


@dataclass(slots=True)
class Conflicts:
    """What a file of trips said that cannot have been so."""

    overlaps: int = 0
    """Trips that began while the same bike was still on another: the bike rides the newest."""
    jumps: int = 0


class World:
    """The lives of a fleet; `advance` lets them go on and says who has something to report."""

    def __init__(
        self,
        lives: Sequence[Life],
        town: Town,
        *,
        chance: Random,
        noise: Random,
        starts_ms: int,
        trips: Iterator[Trip] | None = None,
    ) -> None:
        self.lives = lives
        self.town = town
        self.conflicts = Conflicts()
        self.pockets: dict[str, Bank] = {}
        """Banks with riders."""
        self.beat_stretch = 1.0
        """Heartbeats are this many times longer than the models say (in simulated time)."""
        self.now_ms = starts_ms
        self._chance = chance
        # Apart from the chance of life, so that reading a report never changes what happens next.
        self._noise = noise
        self._trips = trips
        self._cabinets = [index for index, life in enumerate(lives) if isinstance(life, Cabinet)]
        self._beat_numbers = [0] * len(lives)
        self._heap: list[tuple[int, int, int, _Event, int | Trip | Bank]] = []
        self._pushed = 0
        self._begin(starts_ms)

    def advance(self, until_ms: int) -> Iterator[Happening]:
        """Everything that happens up to that instant; read each device's `report` as it comes."""
        heap = self._heap
        while heap and heap[0][0] <= until_ms:
            at_ms, _, index, event, what = heappop(heap)
            self.now_ms = at_ms
            if event is _Event.BEAT:
                if what == self._beat_numbers[index]:
                    yield self._spoke(index, keep=False)
            else:
                yield from self._happen(index, event, what)
        self.now_ms = max(self.now_ms, until_ms)

    def skip(self, until_ms: int) -> None:
        """Let life go on to that instant unheard."""
        for _ in self.advance(until_ms):
            pass

    def report(self, happening: Happening) -> Report:
        """The whole state of the device that has something to say."""
        return self.lives[happening.device].report(happening.at_ms, self._noise, keep=happening.keep)

    def bank_ids(self) -> list[str]:
        """Every bank there is, in slots and in pockets."""
        held = [
            bank.unit_id
            for life in self.lives
            if isinstance(life, Cabinet)
            for bank in life.banks
            if bank is not None
        ]
        return held + list(self.pockets)

    # --- the agenda ------------------------------------------------------------------------------

    def _push(self, at_ms: int, index: int, event: _Event, what: int | Trip | Bank = 0) -> None:
        self._pushed += 1
        heappush(self._heap, (at_ms, self._pushed, index, event, what))

    def _after(self, delay_s: float, index: int, event: _Event, what: int | Trip | Bank = 0) -> None:
        self._push(self.now_ms + max(1, round(delay_s * 1000)), index, event, what)

    def _begin(self, starts_ms: int) -> None:
        for index, life in enumerate(self.lives):
            first_s = life.period_s() * self._chance.random()
            self._push(starts_ms + round(first_s * 1000), index, _Event.BEAT)
            self._await_use(index, life)
            if isinstance(life, Bike) and life.needs_service:
                self._after(self._chance.uniform(*_SERVICE_AFTER_S), index, _Event.SERVICE)
        self._await_trip()

    def spread_beats(self, stretch: float) -> None:
        """Heartbeats become `stretch` times longer; the first of each device falls evenly into one."""
        self.beat_stretch = stretch
        for index, life in enumerate(self.lives):
            self._beat_numbers[index] += 1
            self._after(
                life.period_s() * stretch * self._chance.random(),
                index,
                _Event.BEAT,
                self._beat_numbers[index],
            )

    def _spoke(self, index: int, *, keep: bool) -> Happening:
        """Every report restarts the device's heartbeat."""
        self._beat_numbers[index] += 1
        period_s = self.lives[index].period_s() * self.beat_stretch * self._chance.uniform(0.92, 1.08)
        self._after(period_s, index, _Event.BEAT, self._beat_numbers[index])
        return Happening(self.now_ms, index, keep)

    def _await_use(self, index: int, life: Life) -> None:
        match life:
            case Bike():
                if self._trips is None:
                    wait_s = self._chance.expovariate(1.0 / demand.MEAN_PARKED_S)
                    self._after(wait_s, index, _Event.TAKE)
            case Cabinet():
                wait_s = self._chance.expovariate(1.0 / demand.MEAN_CABINET_TAKE_S)
                self._after(wait_s, index, _Event.TAKE)
            case Locker():
                wait_s = self._chance.expovariate(1.0 / demand.MEAN_DOOR_USE_S)
                self._after(wait_s, index, _Event.TAKE)

    def _await_trip(self) -> None:
        trip = next(self._trips, None) if self._trips is not None else None
        if trip is not None:
            self._push(max(trip.starts_ms, self.now_ms), trip.device, _Event.TRIP, trip)

    # --- what happens ----------------------------------------------------------------------------

    def _happen(self, index: int, event: _Event, what: int | Trip | Bank) -> Iterator[Happening]:
        life = self.lives[index]
        match life, event, what:
            case Bike(), _Event.TRIP, Trip():
                yield from self._real_ride(life, what)
            case Bike(), _Event.TAKE, _:
                yield from self._ride(index, life)
            case Bike(), _Event.PUT, int():
                yield from self._park(index, life, what)
            case Bike(), _Event.SERVICE, _:
                if not life.riding:
                    life.service(self.now_ms)
                    yield self._spoke(index, keep=False)
            case Cabinet(), _Event.TAKE, _:
                yield from self._take_bank(index, life)
            case Cabinet(), _Event.PUT, Bank():
                yield self._return_bank(what, first=index)
            case Locker(), _Event.TAKE, _:
                yield from self._open_door(index, life)
            case Locker(), _Event.PUT, int():
                life.close_door(what)
                yield self._spoke(index, keep=True)

    def _ride(self, index: int, bike: Bike) -> Iterator[Happening]:
        if not bike.usable:
            if bike.needs_service:
                self._after(self._chance.uniform(*_SERVICE_AFTER_S), index, _Event.SERVICE)
            self._await_use(index, bike)
            return
        destination = self.town.destination(bike.place, self._chance)
        speed_mps = demand.MEAN_RIDE_SPEED_MPS * self._chance.uniform(0.7, 1.3)
        took_s = max(_MIN_RIDE_S, distance_m(bike.place, destination) / speed_mps)
        yield self._set_off(index, bike, destination, ends_ms=self.now_ms + round(took_s * 1000))

    def _real_ride(self, bike: Bike, trip: Trip) -> Iterator[Happening]:
        if bike.riding:
            self.conflicts.overlaps += 1
        elif distance_m(bike.place, trip.start) > JUMP_M:
            self.conflicts.jumps += 1
        bike.place = trip.start
        yield self._set_off(trip.device, bike, trip.end, ends_ms=max(trip.ends_ms, self.now_ms + 1))
        self._await_trip()

    def _set_off(self, index: int, bike: Bike, end: Place, *, ends_ms: int) -> Happening:
        route = bent_route(
            bike.place, end, starts_ms=self.now_ms, ends_ms=ends_ms, area=self.town.area, chance=self._chance
        )
        bike.begin_ride(route)
        self._push(ends_ms, index, _Event.PUT, bike.ride_number)
        return self._spoke(index, keep=True)

    def _park(self, index: int, bike: Bike, ride_number: int) -> Iterator[Happening]:
        if bike.ride_number != ride_number or not bike.riding:
            return
        bike.end_ride(self.now_ms, self._chance)
        if bike.needs_service:
            self._after(self._chance.uniform(*_SERVICE_AFTER_S), index, _Event.SERVICE)
        self._await_use(index, bike)
        yield self._spoke(index, keep=True)

    def _take_bank(self, index: int, cabinet: Cabinet) -> Iterator[Happening]:
        self._await_use(index, cabinet)
        bank = cabinet.take(self.now_ms)
        if bank is None:
            return
        self.pockets[bank.unit_id] = bank
        goal = index if self._chance.random() < 0.4 else self._chance.choice(self._cabinets)
        self._after(self._chance.expovariate(1.0 / demand.MEAN_BANK_OUT_S), goal, _Event.PUT, bank)
        yield self._spoke(index, keep=True)

    def _return_bank(self, bank: Bank, *, first: int) -> Happening:
        """A rider who finds the cabinet full walks to the next one; there are more slots than banks."""
        start = self._cabinets.index(first)
        for index in self._cabinets[start:] + self._cabinets[:start]:
            cabinet = self.lives[index]
            if isinstance(cabinet, Cabinet) and cabinet.free_slots:
                del self.pockets[bank.unit_id]
                cabinet.put(bank, self.now_ms, self._chance)
                return self._spoke(index, keep=True)
        raise AssertionError("more banks than slots")

    def _open_door(self, index: int, locker: Locker) -> Iterator[Happening]:
        self._await_use(index, locker)
        to_store = self._chance.random() < 0.5
        number = locker.open_door(self._chance, to_store=to_store)
        if number is None:
            return
        self._after(self._chance.uniform(*_DOOR_OPEN_S), index, _Event.PUT, number)
        yield self._spoke(index, keep=True)
