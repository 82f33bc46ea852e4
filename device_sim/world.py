"""What happens to a whole fleet, in order of simulated time, from a seed."""

from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from random import Random

from device_sim import demand
from device_sim.bike import Bike
from device_sim.cabinet import Bank, Cabinet
from device_sim.demand import Town
from device_sim.happenings import Conflicts, Event, Happening, Trip
from device_sim.locker import Locker
from device_sim.movement import Place, bent_route, distance_m
from firmware_protocol.messages import Report

Life = Bike | Cabinet | Locker

JUMP_M = 100.0
"""A trip that starts farther from where the last one ended: somebody moved the bike in between."""
_DOOR_OPEN_S = (10.0, 45.0)
_SERVICE_AFTER_S = (1_800.0, 7_200.0)
_MIN_RIDE_S = 60.0
_RIDDEN_AFTER_UNLOCK = 0.7


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
        self._heap: list[tuple[int, int, int, Event, int | Trip | Bank]] = []
        self._pushed = 0
        self._begin(starts_ms)

    def advance(self, until_ms: int) -> Iterator[Happening]:
        """Everything that happens up to that instant; read each device's `report` as it comes."""
        heap = self._heap
        while heap and heap[0][0] <= until_ms:
            at_ms, _, index, event, what = heappop(heap)
            self.now_ms = at_ms
            if event is Event.BEAT:
                if what == self._beat_numbers[index]:
                    yield self.spoke(index, keep=False)
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

    def _push(self, at_ms: int, index: int, event: Event, what: int | Trip | Bank = 0) -> None:
        self._pushed += 1
        heappush(self._heap, (at_ms, self._pushed, index, event, what))

    def after(self, delay_s: float, index: int, event: Event, what: int | Trip | Bank = 0) -> None:
        """Put on the agenda of a device."""
        self._push(self.now_ms + max(1, round(delay_s * 1000)), index, event, what)

    def _begin(self, starts_ms: int) -> None:
        for index, life in enumerate(self.lives):
            first_s = life.period_s() * self._chance.random()
            self._push(starts_ms + round(first_s * 1000), index, Event.BEAT)
            self._await_use(index, life)
            if isinstance(life, Bike) and life.needs_service:
                self.await_service(index)
        self._await_trip()

    def spread_beats(self, stretch: float) -> None:
        """Heartbeats become `stretch` times longer; the first of each device falls evenly into one."""
        self.beat_stretch = stretch
        for index, life in enumerate(self.lives):
            self._beat_numbers[index] += 1
            self.after(
                life.period_s() * stretch * self._chance.random(),
                index,
                Event.BEAT,
                self._beat_numbers[index],
            )

    def spoke(self, index: int, *, keep: bool) -> Happening:
        """It has something to say; every report restarts the device's heartbeat."""
        self._beat_numbers[index] += 1
        period_s = self.lives[index].period_s() * self.beat_stretch * self._chance.uniform(0.92, 1.08)
        self.after(period_s, index, Event.BEAT, self._beat_numbers[index])
        return Happening(self.now_ms, index, keep)

    def await_service(self, index: int) -> None:
        """A mechanic will come."""
        self.after(self._chance.uniform(*_SERVICE_AFTER_S), index, Event.SERVICE)

    def bring_back(self, bank: Bank, first: int) -> None:
        """It is with a rider now, who returns it there or anywhere after a while."""
        self.pockets[bank.unit_id] = bank
        goal = first if self._chance.random() < 0.4 else self._chance.choice(self._cabinets)
        self.after(self._chance.expovariate(1.0 / demand.MEAN_BANK_OUT_S), goal, Event.PUT, bank)

    def close_later(self, index: int, number: int) -> None:
        """Somebody stands at the open door."""
        self.after(self._chance.uniform(*_DOOR_OPEN_S), index, Event.PUT, number)

    def _await_use(self, index: int, life: Life) -> None:
        match life:
            case Bike():
                if self._trips is None:
                    wait_s = self._chance.expovariate(1.0 / demand.MEAN_PARKED_S)
                    self.after(wait_s, index, Event.TAKE)
            case Cabinet():
                wait_s = self._chance.expovariate(1.0 / demand.MEAN_CABINET_TAKE_S)
                self.after(wait_s, index, Event.TAKE)
            case Locker():
                wait_s = self._chance.expovariate(1.0 / demand.MEAN_DOOR_USE_S)
                self.after(wait_s, index, Event.TAKE)

    def _await_trip(self) -> None:
        trip = next(self._trips, None) if self._trips is not None else None
        if trip is not None:
            self._push(max(trip.starts_ms, self.now_ms), trip.device, Event.TRIP, trip)

    # --- what happens ----------------------------------------------------------------------------

    def _happen(self, index: int, event: Event, what: int | Trip | Bank) -> Iterator[Happening]:
        life = self.lives[index]
        match life, event, what:
            case Bike(), Event.TRIP, Trip():
                yield from self._real_ride(life, what)
            case Bike(), Event.TAKE, _:
                yield from self._ride(index, life)
            case Bike(), Event.PUT, int():
                yield from self._park(index, life, what)
            case Bike(), Event.LEAVE, int():
                yield from self._leave(index, life, what)
            case Bike(), Event.SERVICE, _:
                if not life.riding:
                    life.service(self.now_ms)
                    yield self.spoke(index, keep=False)
            case Cabinet(), Event.TAKE, _:
                yield from self._take_bank(index, life)
            case Cabinet(), Event.PUT, Bank():
                yield self._return_bank(what, first=index)
            case Locker(), Event.TAKE, _:
                yield from self._open_door(index, life)
            case Locker(), Event.PUT, int():
                life.close_door(what)
                yield self.spoke(index, keep=True)

    def _ride(self, index: int, bike: Bike) -> Iterator[Happening]:
        if not bike.usable or self.now_ms < bike.reserved_until_ms:
            if bike.needs_service:
                self.await_service(index)
            self._await_use(index, bike)
            return
        yield self._set_off_somewhere(index, bike)

    def _leave(self, index: int, bike: Bike, ride_number: int) -> Iterator[Happening]:
        """In a replay nobody rides but who is in the file."""
        if bike.ride_number != ride_number or not bike.unlocked:
            return
        if self._trips is None and self._chance.random() < _RIDDEN_AFTER_UNLOCK:
            yield self._set_off_somewhere(index, bike)
        else:
            bike.close()
            yield self.spoke(index, keep=True)

    def _set_off_somewhere(self, index: int, bike: Bike) -> Happening:
        destination = self.town.destination(bike.place, self._chance)
        speed_mps = demand.MEAN_RIDE_SPEED_MPS * self._chance.uniform(0.7, 1.3)
        took_s = max(_MIN_RIDE_S, distance_m(bike.place, destination) / speed_mps)
        return self._set_off(index, bike, destination, ends_ms=self.now_ms + round(took_s * 1000))

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
        self._push(ends_ms, index, Event.PUT, bike.ride_number)
        return self.spoke(index, keep=True)

    def _park(self, index: int, bike: Bike, ride_number: int) -> Iterator[Happening]:
        if bike.ride_number != ride_number or not bike.riding:
            return
        ordered = bike.ordered
        bike.end_ride(self.now_ms, self._chance)
        if bike.needs_service:
            self.await_service(index)
        if not ordered:
            # Who was opened by command is on the agenda of the town all the while.
            self._await_use(index, bike)
        yield self.spoke(index, keep=True)

    def _take_bank(self, index: int, cabinet: Cabinet) -> Iterator[Happening]:
        self._await_use(index, cabinet)
        bank = cabinet.take(self.now_ms)
        if bank is None:
            return
        self.bring_back(bank, index)
        yield self.spoke(index, keep=True)

    def _return_bank(self, bank: Bank, *, first: int) -> Happening:
        """A rider who finds the cabinet full walks to the next one; there are more slots than banks."""
        start = self._cabinets.index(first)
        for index in self._cabinets[start:] + self._cabinets[:start]:
            cabinet = self.lives[index]
            if isinstance(cabinet, Cabinet) and cabinet.free_slots:
                del self.pockets[bank.unit_id]
                cabinet.put(bank, self.now_ms, self._chance)
                return self.spoke(index, keep=True)
        raise AssertionError("more banks than slots")

    def _open_door(self, index: int, locker: Locker) -> Iterator[Happening]:
        self._await_use(index, locker)
        to_store = self._chance.random() < 0.5
        number = locker.open_door(self.now_ms, self._chance, to_store=to_store)
        if number is None:
            return
        self.close_later(index, number)
        yield self.spoke(index, keep=True)
