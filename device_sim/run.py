"""Runs a fleet against a broker from start to summary: the entry for the verb, for tests and for load."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from device_sim.conductor import Conductor
from device_sim.device import SimDevice, build_device
from device_sim.driver import Address, Driver, Party
from device_sim.faults import PROFILES as FAULT_PROFILES
from device_sim.faults import Weather
from device_sim.fleet import Fleet, password
from device_sim.happenings import Trip
from device_sim.lean_driver import CONNECTS_PER_S, LeanDriver
from device_sim.ledger import Ledger, Summary
from device_sim.mqtt_driver import MqttDriver
from device_sim.pace import Pace, pace_for
from device_sim.packets import Framing, Mqtt5, Mqtt311
from device_sim.profiles import Level
from device_sim.truth import DeviceTruth, TruthLog
from device_sim.world import World
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.messages import DeviceId

_TICK_S = 0.01
DRAIN_S = 15.0
_TELL_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Bridge:
    """Many devices on few connections, through a broker user that may speak for any device."""

    user: str
    password: str
    connections: int


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What to run; `fleet` says who."""

    broker: Address
    rate_per_s: float | None = None
    """Reports per second of the whole fleet; None lets time run at its own pace."""
    gather_s: float = 0.0
    """How long life may wait at the start for every device to be connected."""
    for_s: float | None = None
    """How long life goes on; None until cancelled or stopped."""
    profile: str = "none"
    """Of faults."""
    speed: float | None = None
    """Simulated seconds per second, where it is to be fixed: in a replay."""
    trips: Iterator[Trip] | None = None
    starts_ms: int | None = None
    """The simulated instant of the start; None is now."""
    kept_share: float = 0.0
    """Of the heartbeats that are kept as well, for trials of receipts."""
    drain_s: float = DRAIN_S
    """How long to wait at the end for confirmations and receipts that are still out."""
    last_words: bool = False
    """At the end every device sends one kept report: then its newest state is known to have been sent."""
    aiomqtt: bool = False
    bridge: Bridge | None = None
    connects_per_s: float = CONNECTS_PER_S
    keys: Mapping[DeviceId, DeviceKey] = field(default_factory=dict)
    """Of the devices that can verify commands; without its key a device takes plain welcomes and no commands."""
    truth_path: Path | None = None
    """Append what was sent, confirmed, receipted and carried out to this file, a line of JSON each."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A run as it stands, for whoever watches."""

    summary: Summary
    seconds: float
    rate_per_s: float
    """Reports sent per second since the last look."""
    open_count: int
    """Kept reports without receipt."""


@dataclass(slots=True)
class RunResult:
    """What is left of a run."""

    summary: Summary
    truths: Sequence[DeviceTruth] = field(default_factory=tuple)
    all_spoke: bool = False
    """Every device was asked for a last word: one that never reported has failed."""


async def run_fleet(
    fleet: Fleet,
    plan: RunPlan,
    *,
    stop: asyncio.Event | None = None,
    tell: Callable[[Progress], None] | None = None,
) -> RunResult:
    """Connects the fleet and lets it live; ends after `for_s`, or when `stop` is set. Waits for an absent broker.
    Raises OSError for a truth file that cannot be written."""
    log_file = plan.truth_path.open("a", encoding="utf-8") if plan.truth_path else None
    try:
        run = _Run(fleet, plan, TruthLog(log_file) if log_file else None)
        return await run.live(stop or asyncio.Event(), tell)
    finally:
        if log_file is not None:
            log_file.close()


class _Run:
    """One run: owns the clock, the ticks and the driver."""

    def __init__(self, fleet: Fleet, plan: RunPlan, log: TruthLog | None) -> None:
        weather = Weather(FAULT_PROFILES[plan.profile], Random(f"faults {fleet.seed}"))
        self._plan = plan
        self._pace: Pace = pace_for(fleet.natural_rate_per_s(), plan.rate_per_s, plan.speed)
        self._starts_ms = plan.starts_ms if plan.starts_ms is not None else round(time.time() * 1000)
        self._world: World = fleet.world(starts_ms=self._starts_ms, trips=plan.trips)
        self._world.spread_beats(self._pace.stretch)
        self._devices = _devices(fleet, weather, plan.keys)
        self._ledger = Ledger(fleet, self._devices, log)
        self._ledger.summary.faults = weather.counts
        self._conductor = Conductor(self._world, self._devices, weather=weather, ledger=self._ledger)
        if plan.keys:
            self._conductor.obey(Random(f"obedience {fleet.seed}"), life_speed=self._pace.life)
        self._conductor.keep_also(plan.kept_share, Random(f"kept {fleet.seed}"))
        self._driver = self._conductor.driver = _driver(fleet, plan, self._devices, self._conductor)
        self._begun_s = time.monotonic()
        self._life_begun_s = self._begun_s
        self._told = (self._begun_s, 0)

    async def live(self, stop: asyncio.Event, tell: Callable[[Progress], None] | None) -> RunResult:
        driving = asyncio.create_task(self._driver.run())
        try:
            await self._tick_until(self._all_gathered(stop, driving), lives=False, tell=tell)
            self._life_begun_s = time.monotonic()
            await self._tick_until(self._life_over(stop, driving), lives=True, tell=tell)
            if self._plan.last_words:
                self._conductor.last_words()
            await self._tick_until(self._all_settled(stop), lives=False, tell=tell)
            summary = self._summary()
        finally:
            self._ledger.flush()
            driving.cancel()
            with suppress(asyncio.CancelledError):
                await driving
        return RunResult(summary, self._ledger.truths, self._plan.last_words)

    def _all_gathered(self, stop: asyncio.Event, driving: asyncio.Task[None]) -> Callable[[], bool]:
        deadline_s = time.monotonic() + self._plan.gather_s

        def gathered() -> bool:
            if driving.done():
                driving.result()
            everybody = self._driver.connected_count == len(self._devices)
            return everybody or stop.is_set() or time.monotonic() >= deadline_s

        return gathered

    def _life_over(self, stop: asyncio.Event, driving: asyncio.Task[None]) -> Callable[[], bool]:
        ends_s = None if self._plan.for_s is None else time.monotonic() + self._plan.for_s

        def over() -> bool:
            if driving.done():
                driving.result()
            return stop.is_set() or (ends_s is not None and time.monotonic() >= ends_s)

        return over

    def _all_settled(self, stop: asyncio.Event) -> Callable[[], bool]:
        deadline_s = time.monotonic() + self._plan.drain_s

        def settled() -> bool:
            nothing_out = not self._conductor.delayed_count and not self._ledger.open_count
            # The ledger knows what left a device; a kept report that never did is awaited as well.
            nothing_held = nothing_out and not any(device.unreceipted for device in self._devices)
            return nothing_held or time.monotonic() >= deadline_s

        return settled

    async def _tick_until(
        self, over: Callable[[], bool], *, lives: bool, tell: Callable[[Progress], None] | None
    ) -> None:
        while not over():
            now_s = time.monotonic()
            passed_ms = (now_s - self._life_begun_s) * 1000
            self._conductor.tick(
                round(now_s * 1000),
                round(time.time() * 1000),
                life_until_ms=self._starts_ms + round(passed_ms * self._pace.life) if lives else None,
            )
            self._ledger.flush()
            if tell is not None and now_s - self._told[0] >= _TELL_EVERY_S:
                tell(self._progress(now_s))
            await asyncio.sleep(_TICK_S)

    def _progress(self, now_s: float) -> Progress:
        summary = self._summary()
        told_s, told_sent = self._told
        self._told = (now_s, summary.sent)
        return Progress(
            summary,
            now_s - self._begun_s,
            (summary.sent - told_sent) / (now_s - told_s),
            summary.kept_outstanding,
        )

    def _summary(self) -> Summary:
        summary = self._ledger.settled(self._devices)
        summary.connected = self._driver.connected_count
        summary.refused_connects = self._driver.refused_count
        summary.seconds = round(time.monotonic() - self._begun_s, 3)
        summary.overlapping_trips = self._world.conflicts.overlaps
        summary.jumped_trips = self._world.conflicts.jumps
        return summary


def _devices(fleet: Fleet, weather: Weather, keys: Mapping[DeviceId, DeviceKey]) -> list[SimDevice]:
    chance = Random(f"devices {fleet.seed}")
    return [
        build_device(
            number,
            device_id,
            profile,
            chance=chance,
            skew_ms=weather.skew_ms(),
            keys=(keys[device_id],) if device_id in keys else (),
            misbehaviour=fleet.misbehaviours.get(number),
        )
        for number, (device_id, profile) in enumerate(zip(fleet.device_ids, fleet.profiles, strict=True))
    ]


def _driver(fleet: Fleet, plan: RunPlan, devices: list[SimDevice], listener: Conductor) -> Driver:
    chance = Random(f"driver {fleet.seed}")
    if plan.bridge is not None:
        parties = _shared_parties(plan.bridge, devices)
    else:
        parties = [_own_party(fleet, device) for device in devices]
    if plan.aiomqtt:
        return MqttDriver(plan.broker, parties, listener, chance=chance, clock_s=time.monotonic)
    return LeanDriver(
        plan.broker,
        parties,
        listener,
        chance=chance,
        clock_s=time.monotonic,
        connects_per_s=plan.connects_per_s,
    )


def _own_party(fleet: Fleet, device: SimDevice) -> Party:
    """Full devices speak MQTT 5, basic ones 3.1.1, as the hardware of either kind does."""
    basic = fleet.profiles[device.number].level is Level.BASIC
    framing: Framing = Mqtt311() if basic else Mqtt5()
    topics: Mapping[str, int] = dict.fromkeys(device.topics, device.number)
    secret = password(fleet.secret, device.device_id)
    return Party((device.number,), device.device_id, device.device_id, secret, topics, framing)


def _shared_parties(bridge: Bridge, devices: list[SimDevice]) -> list[Party]:
    shares = [devices[first :: bridge.connections] for first in range(bridge.connections)]
    return [
        Party(
            tuple(device.number for device in share),
            f"lk-sim-{number}",
            bridge.user,
            bridge.password,
            {topic: device.number for device in share for topic in device.topics},
            Mqtt5(),
        )
        for number, share in enumerate(shares)
        if share
    ]
