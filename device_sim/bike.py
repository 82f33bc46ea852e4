"""The life of a shared vehicle: parked, ridden, drained, serviced."""

from random import Random

from device_sim.movement import Place, Route, measured
from device_sim.profiles import Profile
from firmware_protocol.messages import Alarm, Bolt, Lock, Report

_IDLE_DRAIN_PCT_PER_H = 0.15
_RIDE_DRAIN_PCT_PER_KM = 1.1
"""A 500 Wh pack carries an e-bike about 90 km."""
_DYNAMO_GAIN_PCT_PER_KM = 0.4
_JAM_CHANCE = 0.003
"""Per ride: the bolt does not reach its end position and the device says so until it is serviced."""


class Bike:
    """One vehicle; what happened to it is called from outside, in order of time."""

    __slots__ = (
        "battery_pct",
        "fault",
        "heartbeat_s",
        "openings",
        "ordered",
        "place",
        "profile",
        "reserved_until_ms",
        "ride_number",
        "route",
        "settled_ms",
        "signal_dbm",
        "unlocked",
    )

    def __init__(self, profile: Profile, place: Place, *, now_ms: int, chance: Random) -> None:
        self.profile = profile
        self.heartbeat_s = profile.heartbeat_s
        self.place = place
        self.route: Route | None = None
        self.ride_number = 0
        self.battery_pct = 100.0 - 85.0 * chance.random() ** 2
        self.settled_ms = now_ms
        self.openings = chance.randrange(2_000)
        self.fault = ""
        self.signal_dbm = chance.randint(-105, -65)
        self.unlocked = False
        """Open, and nobody rides it yet."""
        self.ordered = False
        """Opened by command, and not closed since."""
        self.reserved_until_ms = 0
        """Until then nobody takes it without a command."""

    @property
    def riding(self) -> bool:
        return self.route is not None

    @property
    def usable(self) -> bool:
        """A rider would find it rentable."""
        return not (
            self.riding or self.unlocked or self.fault or self.battery_pct < self.profile.battery_low_pct
        )

    @property
    def needs_service(self) -> bool:
        return bool(self.fault) or self.battery_pct < self.profile.battery_low_pct + 5

    def begin_ride(self, route: Route) -> None:
        """The bolt opens unless it is; a ride that was still running is over where the new one begins."""
        if self.route is not None:
            self._finish(self.route, route.starts_ms)
        self._settle_idle(route.starts_ms)
        self.ride_number += 1
        self.openings += not self.unlocked
        self.unlocked = False
        self.route = route
        self.place = route.corners[0]

    def unlock(self) -> None:
        """The bolt opens by command; `ride_number` names this opening too."""
        self.ride_number += 1
        self.openings += 1
        self.unlocked = self.ordered = True

    def close(self) -> None:
        """The bolt closes before anybody rode."""
        self.unlocked = self.ordered = False

    def end_ride(self, now_ms: int, chance: Random) -> None:
        """The bolt closes, or jams."""
        if self.route is not None:
            self._finish(self.route, now_ms)
            self.route = None
        self.close()
        if chance.random() < _JAM_CHANCE:
            self.fault = "bolt_jammed"

    def service(self, now_ms: int) -> None:
        """A mechanic mends it and puts in a full battery."""
        self.battery_pct = 100.0
        self.settled_ms = now_ms
        self.fault = ""

    def position(self, now_ms: int) -> Place:
        return self.place if self.route is None else self.route.at(now_ms)

    def report(self, now_ms: int, chance: Random, *, keep: bool) -> Report:
        """Its whole state, unstamped."""
        if self.route is None:
            self._settle_idle(now_ms)
        riding = self.route is not None
        battery_pct = round(self.battery_pct)
        low = battery_pct < self.profile.battery_low_pct
        return Report(
            keep=keep,
            fix=measured(self.position(now_ms), chance, still=not riding),
            lock=Lock(self._bolt(), 0, self.openings),
            battery_pct=battery_pct,
            moving=riding,
            faults=(self.fault,) if self.fault else (),
            alarms=(Alarm.LOW_BATTERY,) if low else (),
            signal_dbm=self.signal_dbm,
        )

    def period_s(self) -> float:
        """Until the next report if nothing happens."""
        return self.heartbeat_s if self.route is None else self.profile.busy_period_s

    def _bolt(self) -> Bolt:
        if self.route is not None or self.unlocked:
            return Bolt.OPEN
        return Bolt.BETWEEN if self.fault == "bolt_jammed" else Bolt.CLOSED

    def _settle_idle(self, now_ms: int) -> None:
        hours = max(0, now_ms - self.settled_ms) / 3_600_000
        self.battery_pct = max(0.0, self.battery_pct - hours * _IDLE_DRAIN_PCT_PER_H)
        self.settled_ms = max(now_ms, self.settled_ms)

    def _finish(self, route: Route, now_ms: int) -> None:
        self.place = route.at(now_ms)
        span_ms = max(1, route.ends_ms - route.starts_ms)
        ridden_km = route.length_m / 1000 * min(1.0, max(0, now_ms - route.starts_ms) / span_ms)
        gain = -_RIDE_DRAIN_PCT_PER_KM if self.profile.electric else _DYNAMO_GAIN_PCT_PER_KM
        self.battery_pct = min(100.0, max(0.0, self.battery_pct + gain * ridden_km))
        self.settled_ms = max(now_ms, self.settled_ms)
