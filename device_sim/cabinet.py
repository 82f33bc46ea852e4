"""The life of a power-bank cabinet: banks charge in its slots, leave, and come back to any cabinet."""

from dataclasses import dataclass
from random import Random

from device_sim.movement import Place
from device_sim.profiles import Profile
from firmware_protocol.messages import Report, Slot

_CHARGE_PCT_PER_MS = 100.0 / (3 * 3_600_000)
"""Empty to full in three hours."""
_DRAIN_PCT_PER_MS = 100.0 / (5 * 3_600_000)
RENTABLE_CHARGE_PCT = 60.0
"""Cabinets hand out banks that will charge a phone."""


@dataclass(slots=True)
class Bank:
    """One power bank, in a slot or with a rider."""

    unit_id: str
    charge_pct: float
    settled_ms: int

    def settle(self, now_ms: int, *, charging: bool) -> None:
        """Charge or drain for the time since it was last looked at."""
        passed_ms = max(0, now_ms - self.settled_ms)
        change = passed_ms * (_CHARGE_PCT_PER_MS if charging else -_DRAIN_PCT_PER_MS)
        self.charge_pct = min(100.0, max(0.0, self.charge_pct + change))
        self.settled_ms = max(now_ms, self.settled_ms)


class Cabinet:
    """One cabinet; it stands still and has no GPS, so its reports carry no fix."""

    __slots__ = ("banks", "heartbeat_s", "openings", "place", "profile", "reserved", "signal_dbm")

    def __init__(self, profile: Profile, place: Place, *, banks: list[Bank], chance: Random) -> None:
        self.profile = profile
        self.heartbeat_s = profile.heartbeat_s
        self.place = place
        self.openings = [0] * profile.slot_count
        self.banks: list[Bank | None] = [None] * profile.slot_count
        for number, bank in zip(chance.sample(range(profile.slot_count), len(banks)), banks, strict=True):
            self.banks[number] = bank
        self.reserved: dict[int, int] = {}
        """Until when nobody takes from a slot, or brings to it, without a command."""
        self.signal_dbm = chance.randint(-100, -60)

    @property
    def free_slots(self) -> int:
        return self.banks.count(None)

    def take(self, now_ms: int) -> Bank | None:
        """The fullest bank leaves, if any is charged enough."""
        best: int | None = None
        for number, bank in enumerate(self.banks):
            if bank is None or now_ms < self.reserved.get(number, 0):
                continue
            bank.settle(now_ms, charging=True)
            fuller = best is None or bank.charge_pct > self._charge(best)
            if bank.charge_pct >= RENTABLE_CHARGE_PCT and fuller:
                best = number
        if best is None:
            return None
        return self.eject(best, now_ms)

    def eject(self, number: int, now_ms: int) -> Bank | None:
        """The bank of one slot leaves; None when there is none."""
        taken, self.banks[number] = self.banks[number], None
        if taken is not None:
            taken.settle(now_ms, charging=True)
            self.openings[number] += 1
        return taken

    def put(self, bank: Bank, now_ms: int, chance: Random) -> None:
        """A bank comes back into a free slot; the caller has seen that there is one."""
        bank.settle(now_ms, charging=False)
        free = [number for number, held in enumerate(self.banks) if held is None]
        number = chance.choice([one for one in free if now_ms >= self.reserved.get(one, 0)] or free)
        self.banks[number] = bank
        self.openings[number] += 1

    def report(self, now_ms: int, chance: Random, *, keep: bool) -> Report:
        """Its whole state, unstamped."""
        return Report(
            keep=keep,
            slots=tuple(self._slot(number, now_ms) for number in range(self.profile.slot_count)),
            charging=True,
            signal_dbm=min(0, self.signal_dbm + chance.randint(-2, 2)),
        )

    def period_s(self) -> float:
        """Until the next report if nothing happens."""
        return self.heartbeat_s

    def _charge(self, number: int) -> float:
        bank = self.banks[number]
        return 0.0 if bank is None else bank.charge_pct

    def _slot(self, number: int, now_ms: int) -> Slot:
        bank = self.banks[number]
        if bank is None:
            return Slot(number + 1, occupied=False, openings=self.openings[number])
        bank.settle(now_ms, charging=True)
        return Slot(
            number + 1,
            unit_id=bank.unit_id,
            occupied=True,
            charge_pct=round(bank.charge_pct),
            openings=self.openings[number],
        )
