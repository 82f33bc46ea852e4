"""What goes wrong between a device and the broker, from a seed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random


@dataclass(frozen=True, slots=True)
class FaultProfile:
    """How bad the network and the hardware are; shares are per report, `_per_h` per device and hour."""

    loss: float = 0.0
    """The frame never leaves the device, which does not know."""
    duplicate: float = 0.0
    delay: float = 0.0
    max_delay_s: float = 0.0
    """A delayed frame is overtaken by later ones: that is also the reordering."""
    reboots_per_h: float = 0.0
    offline_per_h: float = 0.0
    max_offline_s: float = 0.0
    skewed_clocks: float = 0.0
    """Share of devices whose clock is wrong."""
    max_skew_s: float = 0.0
    absurd_clocks: float = 0.0
    """Share of devices that believe it is 1970 or ten years from now."""


PROFILES: Mapping[str, FaultProfile] = {
    "none": FaultProfile(),
    # Mobile coverage of a city: a tunnel now and then, a tower that hands over badly.
    "city": FaultProfile(
        loss=0.002,
        duplicate=0.002,
        delay=0.01,
        max_delay_s=3.0,
        reboots_per_h=0.02,
        offline_per_h=0.2,
        max_offline_s=60.0,
        skewed_clocks=0.05,
        max_skew_s=20.0,
    ),
    # Nothing is lost, everything is out of order: what arrives must add up to the same state.
    "shuffled": FaultProfile(duplicate=0.2, delay=0.3, max_delay_s=2.0),
    "hostile": FaultProfile(
        loss=0.02,
        duplicate=0.05,
        delay=0.10,
        max_delay_s=10.0,
        reboots_per_h=6.0,
        offline_per_h=20.0,
        max_offline_s=20.0,
        skewed_clocks=0.20,
        max_skew_s=3_600.0,
        absurd_clocks=0.05,
    ),
}

_TEN_YEARS_MS = 10 * 365 * 86_400_000


@dataclass(slots=True)
class FaultCounts:
    """What was done to a fleet."""

    lost: int = 0
    duplicated: int = 0
    delayed: int = 0
    reboots: int = 0
    offline_spells: int = 0


@dataclass(frozen=True, slots=True)
class Flight:
    """What becomes of one frame."""

    after_s: tuple[float, ...]
    """One entry per copy that reaches the broker: empty when it is lost, 0 when it goes at once."""


UNHARMED = Flight((0.0,))
LOST = Flight(())


@dataclass(slots=True)
class Weather:
    """The faults of a fleet; every choice comes from the chance it was given."""

    profile: FaultProfile
    chance: Random
    counts: FaultCounts = field(default_factory=FaultCounts)

    def flight(self) -> Flight:
        """What becomes of the next frame."""
        profile = self.profile
        harmed = profile.loss + profile.duplicate + profile.delay
        draw = self.chance.random()
        if draw >= harmed:
            return UNHARMED
        if draw < profile.loss:
            self.counts.lost += 1
            return LOST
        if draw < profile.loss + profile.duplicate:
            self.counts.duplicated += 1
            return Flight((0.0, self.chance.random() * profile.max_delay_s))
        self.counts.delayed += 1
        return Flight((self.chance.random() * profile.max_delay_s,))

    def skew_ms(self) -> int:
        """How wrong the clock of the next device is."""
        draw = self.chance.random()
        if draw < self.profile.absurd_clocks:
            return self.chance.choice((-2_000_000_000_000, _TEN_YEARS_MS))
        if draw < self.profile.absurd_clocks + self.profile.skewed_clocks:
            return round(self.chance.uniform(-1, 1) * self.profile.max_skew_s * 1000)
        return 0

    def reboots(self, fleet: int, passed_s: float) -> list[int]:
        """The devices that reboot in this stretch of time."""
        struck = self._struck(fleet, self.profile.reboots_per_h * passed_s / 3600)
        self.counts.reboots += len(struck)
        return struck

    def offline_spells(self, fleet: int, passed_s: float) -> list[tuple[int, float]]:
        """The devices that lose the network in this stretch of time, and for how many seconds."""
        struck = self._struck(fleet, self.profile.offline_per_h * passed_s / 3600)
        self.counts.offline_spells += len(struck)
        return [(index, self.chance.uniform(0.1, 1.0) * self.profile.max_offline_s) for index in struck]

    def _struck(self, fleet: int, share: float) -> list[int]:
        expected = fleet * min(1.0, share)
        # The fraction that is left over strikes by chance: short ticks of small fleets add up rightly.
        count = int(expected) + (self.chance.random() < expected % 1.0)
        return [self.chance.randrange(fleet) for _ in range(count)] if fleet else []
