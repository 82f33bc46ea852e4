"""Everything that outlives a process: PostgreSQL and Redis of the simulation, and whether they answer."""

from collections.abc import Iterable

from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import shard_of
from gateway.core.device import DeviceModel, Kind, Quirk
from gateway.core.live_state import LiveState
from tests.simulation.scheduler import Clock, Scheduler
from tests.support.fakes.commands import FakeCommands
from tests.support.fakes.device_keys import FakeDeviceKeys
from tests.support.fakes.history import FakeHistory
from tests.support.fakes.leases import FakeLeases
from tests.support.fakes.live_states import FakeLiveStates
from tests.support.fakes.registry import FakeRegistry


def models(quirks: Iterable[Quirk]) -> tuple[DeviceModel, ...]:
    """A bike, a cabinet, a locker, and a bike with these quirks."""
    return (
        DeviceModel("bike", Kind.BIKE, 10, 25, 60),
        DeviceModel("odd-bike", Kind.BIKE, 10, 25, 60, quirks=tuple(quirks)),
        DeviceModel("cabinet", Kind.CABINET, 10, 25, 60, slot_count=2),
        DeviceModel("locker", Kind.LOCKER, 10, 25, 60, slot_count=2),
    )


class Stores:
    """Fakes with contracts; `away` lists what does not answer."""

    def __init__(self, scheduler: Scheduler, quirks: Iterable[Quirk]) -> None:
        clock = Clock(scheduler)
        self.away: set[str] = set()
        self.leases = FakeLeases(clock)
        self.registry = FakeRegistry(models(quirks), clock=clock)
        self.history = FakeHistory(self.registry)
        self.live_states = FakeLiveStates()
        self.keys = FakeDeviceKeys()
        self.commands = FakeCommands(clock, self.leases)

    def postgres_is_away(self) -> bool:
        return "postgres" in self.away

    def redis_is_away(self) -> bool:
        return "redis" in self.away

    async def get(self, device_id: DeviceId) -> LiveState | None:
        """Implements `LiveStateOf`."""
        return (await self.live_states.load({shard_of(device_id): [device_id]})).get(device_id)

    async def saved(self, device_no: int) -> LiveState | None:
        """Implements `SavedStateOf`."""
        last = self.history.last_reports.get(device_no)
        return None if last is None else last.state
