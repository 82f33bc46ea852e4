"""The life of a locker bank: doors open to store and to collect."""

from random import Random

from device_sim.movement import Place
from device_sim.profiles import Profile
from firmware_protocol.messages import Report, Slot


class Locker:
    """One locker bank; it stands still, so its reports carry no fix."""

    __slots__ = (
        "heartbeat_s",
        "occupied",
        "open_doors",
        "openings",
        "place",
        "profile",
        "reserved",
        "signal_dbm",
    )

    def __init__(self, profile: Profile, place: Place, *, chance: Random) -> None:
        self.profile = profile
        self.heartbeat_s = profile.heartbeat_s
        self.place = place
        self.occupied = [chance.random() < 0.4 for _ in range(profile.slot_count)]
        self.openings = [chance.randrange(500) for _ in range(profile.slot_count)]
        self.open_doors: set[int] = set()
        self.reserved: dict[int, int] = {}
        """Until when a door opens by command only."""
        self.signal_dbm = chance.randint(-95, -60)

    def open_door(self, now_ms: int, chance: Random, *, to_store: bool) -> int | None:
        """A door opens on an empty compartment (to store) or a full one (to collect); None if none fits."""
        fitting = [
            number
            for number, full in enumerate(self.occupied)
            if full != to_store and number not in self.open_doors and now_ms >= self.reserved.get(number, 0)
        ]
        if not fitting:
            return None
        number = chance.choice(fitting)
        self.open(number)
        return number

    def open(self, number: int) -> None:
        """One door opens."""
        self.open_doors.add(number)
        self.openings[number] += 1

    def close_door(self, number: int) -> None:
        """The door closes; what was empty is now full and the other way round."""
        self.open_doors.discard(number)
        self.occupied[number] = not self.occupied[number]

    def report(self, now_ms: int, chance: Random, *, keep: bool) -> Report:
        """Its whole state, unstamped."""
        return Report(
            keep=keep,
            slots=tuple(
                Slot(
                    number + 1,
                    door_closed=number not in self.open_doors,
                    occupied=full,
                    openings=self.openings[number],
                )
                for number, full in enumerate(self.occupied)
            ),
            signal_dbm=min(0, self.signal_dbm + chance.randint(-2, 2)),
        )

    def period_s(self) -> float:
        """Until the next report if nothing happens."""
        return self.heartbeat_s
