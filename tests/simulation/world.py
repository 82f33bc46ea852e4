"""A small fleet, two gateways, two processes of the API, and a nemesis: one seed, one story."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from uuid import UUID

from firmware_protocol.commands import CommandKind
from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import shard_of
from gateway.command_ports import Issued, IssueOutcome
from gateway.commands.issue import IssuePorts, RefusedWish, Wish, issue
from gateway.core.device import Quirk
from gateway.ports import StoreUnavailable
from tests.simulation.devices import SLOTS, SimDevice
from tests.simulation.gateways import Ported, SimGateway
from tests.simulation.network import Network, Weather
from tests.simulation.scheduler import Pause, Process, Scheduler
from tests.simulation.stores import Stores
from tests.simulation.tempers import Temper
from tests.support.fakes.command_link import FakeCommandCounters

NAMES = ("dev-a", "dev-b", "dev-c")
MAX_SKEW_MS = 400
QUIET_MS = 100_000
"""After the storm: everything delayed has arrived, and the devices have reported several times."""


@dataclass(slots=True)
class Asked:
    """One wish, asked by one or several processes under one key, and what each was told."""

    key: str
    wish: Wish
    outcomes: list[IssueOutcome | RefusedWish] = field(default_factory=list)


class World:
    """Runs so many steps of storm, then heals, and waits until nothing is open that could still end."""

    def __init__(self, seed: int, *, gateways_off_ms: Sequence[int] = (0, 0)) -> None:
        """The clocks of the two gateways are so wrong, beyond what the seed makes of them."""
        self.seed = seed
        self.scheduler = Scheduler(seed)
        self.chance = self.scheduler.chance
        self.storm = True
        quirks = tuple(quirk for quirk in (Quirk.IGNORES_TTL, Quirk.DUP_UNSAFE) if self.chance.random() < 0.6)
        self.stores = Stores(self.scheduler, quirks)
        self.network = Network(self.scheduler)
        self.devices = {DeviceId(name): self._device(DeviceId(name)) for name in NAMES}
        self.asked: list[Asked] = []
        self._numbers = count(1)
        self._lanes = sorted({shard_of(device_id) for device_id in self.devices})
        self.skews = [self.chance.randint(-MAX_SKEW_MS, MAX_SKEW_MS) for _ in range(4)]
        for place, off_ms in enumerate(gateways_off_ms):
            self.skews[place] += off_ms
        self.gateways: dict[str, SimGateway] = {}
        for name in ("gw-1", "gw-2"):
            self._start_gateway(name)
        self._apis = [
            Process(self.scheduler, name, self.skews[2 + n]) for n, name in enumerate(("api-1", "api-2"))
        ]
        # Everybody has been heard before anything goes wrong.
        self._run_until(3_000)
        self._begin_storm()

    def run(self, steps: int) -> None:
        """So many steps of storm, then the calm."""
        last = self.scheduler.steps + steps
        while self.scheduler.steps < last:
            self.scheduler.step()
        self._heal()
        self._run_until(self.scheduler.now_ms + QUIET_MS)

    # --- who is there ----------------------------------------------------------------------------

    def _device(self, device_id: DeviceId) -> SimDevice:
        temper = self.chance.choice(list(Temper)) if self.chance.random() < 0.6 else Temper.CONFORMING
        model = self.chance.choice(("bike", "odd-bike", "cabinet", "locker"))
        record = self.stores.registry.register(device_id, model)
        keys = self.stores.keys.give(record.device_no, *((1, 2) if self.chance.random() < 0.3 else (1,)))
        return SimDevice(self.scheduler, self.network, device_id, model, keys=keys, temper=temper)

    def _start_gateway(self, name: str) -> None:
        process = Process(self.scheduler, name, self.skews[len(self.gateways) % 2])
        self.gateways[name] = SimGateway(process, self.stores, self.network, self._lanes)

    def _run_until(self, now_ms: int) -> None:
        done = False

        def ring() -> None:
            nonlocal done
            done = True

        self.scheduler.after(now_ms - self.scheduler.now_ms, "until", ring)
        while not done:
            self.scheduler.step()

    # --- people ----------------------------------------------------------------------------------

    def _ask_later(self) -> None:
        self.scheduler.after(self.chance.expovariate(1 / 700), "somebody asks", self._ask)

    def _ask(self) -> None:
        if not self.storm:
            return
        self._ask_later()
        chance = self.chance
        device = self.devices[chance.choice([DeviceId(name) for name in NAMES])]
        kind = chance.choice(_KINDS)
        slot = 0
        if kind is CommandKind.UNLOCK and device.opens_with is not kind:
            kind, slot = device.opens_with, chance.randint(1, SLOTS)
        record = self.stores.registry.known(device.device_id)
        assert record is not None
        key = f"key-{next(self._numbers)}"
        model = self.stores.registry.model(record.model)
        asker = f"staff:{chance.randint(1, 2)}"
        wish = Wish(record, model, kind, asker, key, slot, ttl_s=chance.choice((2, 5, 10, 20)))
        asked = Asked(key, wish)
        self.asked.append(asked)
        for api in self._apis if chance.random() < 0.3 else [chance.choice(self._apis)]:
            api.run("issues", self._issue(api, asked))

    async def _issue(self, api: Process, asked: Asked) -> None:
        stores, away = self.stores, self.stores.postgres_is_away
        ports = IssuePorts(
            desk=Ported(api, stores.commands, away),
            live_states=Ported(api, stores, stores.redis_is_away),
            saved_states=Ported(api, stores, away),
            keys=Ported(api, stores.keys, away),
            clock=api.clock,
            counters=FakeCommandCounters(),
            new_id=lambda: UUID(int=self.chance.getrandbits(128)),
        )
        for _ in range(3):
            try:
                outcome = await issue(asked.wish, ports)
            except StoreUnavailable:
                # Nobody knows what it did: the same key again.
                await Pause(self.chance.uniform(100, 2_000))
                continue
            asked.outcomes.append(outcome)
            if isinstance(outcome, Issued) and self.chance.random() < 0.7:
                for gateway in self.gateways.values():
                    gateway.process.after(self.chance.uniform(0, 20), "is told", gateway.wake)
            if isinstance(outcome, Issued) and self.chance.random() < 0.1:
                now_ms = api.clock.now_ms()
                with suppress(StoreUnavailable):
                    await ports.desk.cancel(outcome.command.command_id, now_ms, asked.wish.requested_by, "")
            return

    # --- nemesis ---------------------------------------------------------------------------------

    def _begin_storm(self) -> None:
        chance = self.chance
        self.network.weather = Weather(
            loss=chance.choice((0, 0.1, 0.4)),
            doubling=chance.choice((0, 0.1, 0.4)),
            slow=chance.choice((0, 0.1, 0.3)),
        )
        self._ask_later()
        self._trouble_later()

    def _trouble_later(self) -> None:
        self.scheduler.after(self.chance.expovariate(1 / 2_000), "trouble", self._trouble)

    def _trouble(self) -> None:
        if not self.storm:
            return
        self._trouble_later()
        chance = self.chance
        chance.choice((self._partition, self._crash, self._stop, self._lose_store, self._lose_power))()

    def _partition(self) -> None:
        device_id = self.chance.choice([DeviceId(name) for name in NAMES])
        self.network.partitioned.add(device_id)
        self.scheduler.after(
            self.chance.uniform(0, 3_000), f"{device_id} is cut", self.devices[device_id].cut
        )
        back_ms = self.chance.uniform(1_000, 30_000)
        self.scheduler.after(back_ms, "partition ends", lambda: self.network.partitioned.discard(device_id))

    def _crash(self) -> None:
        name = self.chance.choice(("gw-1", "gw-2"))
        self.gateways[name].process.kill()
        self.scheduler.after(self.chance.uniform(100, 15_000), f"{name} starts", lambda: self._restart(name))

    def _restart(self, name: str) -> None:
        if not self.gateways[name].process.alive:
            self._start_gateway(name)

    def _stop(self) -> None:
        victim = self.gateways[self.chance.choice(("gw-1", "gw-2"))]
        victim.process.pause(self.chance.randint(500, 30_000))

    def _lose_store(self) -> None:
        store = self.chance.choice(("postgres", "redis"))
        self.stores.away.add(store)
        self.scheduler.after(
            self.chance.uniform(200, 6_000), f"{store} is back", lambda: self.stores.away.discard(store)
        )

    def _lose_power(self) -> None:
        device = self.devices[self.chance.choice([DeviceId(name) for name in NAMES])]
        device.lose_power(self.chance.uniform(200, 8_000), forgets=self.chance.random() < 0.3)

    def _heal(self) -> None:
        self.storm = False
        self.network.weather = Weather()
        self.network.partitioned.clear()
        self.stores.away.clear()
        for name in ("gw-1", "gw-2"):
            self._restart(name)


_KINDS = (
    *(CommandKind.UNLOCK,) * 5,
    *(CommandKind.LOCK, CommandKind.REBOOT, CommandKind.CONFIGURE, CommandKind.QUERY, CommandKind.LOCATE),
)
