"""Simulated devices that obey, registered with their keys, living in a thread of this process."""

import asyncio
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg

from bench.faults.waiting import wait_for
from cli.demo_fleet import model_of, register_fleet
from cli.stack import Stack
from device_sim.driver import Address
from device_sim.fleet import Fleet, build_fleet
from device_sim.misbehaviour import QUIRKS, Misbehaviour
from device_sim.profiles import PROFILES, Kind, Level, with_quirk
from device_sim.run import Progress, RunPlan, RunResult, run_fleet
from device_sim.truth import Execution, read_executions
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.messages import DeviceId
from gateway.key_wrapping import KeyWrapping
from gateway.stores.registration import bulk_register

BIKE = next(profile for profile in PROFILES if profile.kind is Kind.BIKE and profile.level is Level.FULL)


def bikes(count: int, *, seed: int, misbehaviours: Sequence[Misbehaviour | None] = ()) -> Fleet:
    """Bikes of one model, of which the first misbehave as they are told to."""
    fleet = build_fleet(count, seed=seed, secret=b"trial", mix={Kind.BIKE: 1})
    wrong = {index: one for index, one in enumerate(misbehaviours) if one is not None}
    profiles = [
        with_quirk(BIKE, QUIRKS[wrong[index]]) if wrong.get(index) in QUIRKS else BIKE
        for index in range(count)
    ]
    return replace(fleet, profiles=tuple(profiles), misbehaviours=wrong)


def register(stack: Stack, dsn: str, fleet: Fleet) -> dict[DeviceId, DeviceKey]:
    """The fleet known to registry and broker, the latter knowing nobody else from now on; its keys."""
    wrapping = KeyWrapping.from_environment(stack.environment(dsn=dsn))
    with psycopg.connect(dsn) as connection:
        bulk_register(connection, list(map(model_of, fleet.models())), [])
        keys = register_fleet(connection, fleet, wrapping)
    stack.broker.set_devices({device.device_id: device.password for device in fleet.devices()})
    return keys


class Town:
    """The devices while they live."""

    def __init__(self, fleet: Fleet, plan: RunPlan, truth_path: Path) -> None:
        self.fleet = fleet
        self.result: RunResult | None = None
        """What the devices know, once they are gone."""
        self._plan = replace(plan, truth_path=truth_path)
        self._truth_path = truth_path
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._progress: deque[Progress] = deque(maxlen=1)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()), daemon=True)

    def device_id(self, number: int) -> DeviceId:
        return self.fleet.device_ids[number]

    def start(self) -> None:
        """Returns when every device is connected. Raises NeverCame."""
        self._truth_path.unlink(missing_ok=True)
        self._thread.start()
        wait_for("every device connected", self._all_connected)

    def executions(self) -> list[Execution]:
        """Every command that was carried out, in order."""
        with self._truth_path.open() as lines:
            return read_executions(lines)

    def end(self) -> None:
        """They go away without a word."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(90)

    def _all_connected(self) -> bool:
        return bool(self._progress) and self._progress[-1].summary.connected == len(self.fleet)

    async def _live(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self.result = await run_fleet(self.fleet, self._plan, stop=self._stop, tell=self._progress.append)


@contextmanager
def living(
    fleet: Fleet,
    keys: Mapping[DeviceId, DeviceKey],
    port: int,
    folder: Path,
    *,
    speed: float | None = None,
    last_words: bool = False,
) -> Iterator[Town]:
    """All connected to the broker's listener, or to what stands before it; `speed` is simulated seconds per
    second. With `last_words` they leave when everything they said has been taken."""
    plan = RunPlan(
        Address("127.0.0.1", port),
        gather_s=60.0,
        drain_s=60.0 if last_words else 0.5,
        last_words=last_words,
        keys=keys,
        speed=speed,
    )
    town = Town(fleet, plan, folder / "town.jsonl")
    try:
        town.start()
        yield town
    finally:
        town.end()
