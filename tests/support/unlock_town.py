"""Bikes that obey or do not, a gateway, an API, and whoever asks them."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from bench.faults.obeying_town import Town, bikes, living, register
from cli.api_client import ApiClient, Refused
from cli.stack import CHECKOUT, Stack
from device_sim.bike import Bike
from device_sim.fleet import Fleet
from device_sim.misbehaviour import Misbehaviour
from device_sim.truth import Execution
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.messages import DeviceId
from tests.support.processes import ChildProcess, running
from tests.support.stored import ask
from tests.support.waiting import until

ENDS = frozenset(
    {"confirmed", "executed_late", "expired", "refused", "failed", "cancelled", "unconfirmed", "abandoned"}
)
LONGEST_TEST_MS = 600_000


def quiet_bikes(misbehaviours: Sequence[Misbehaviour | None]) -> Fleet:
    """One each, all rentable, and of which nobody takes any by himself while a test lasts."""

    def is_quiet(fleet: Fleet) -> bool:
        world = fleet.world(starts_ms=10**12)
        lives = [life for life in world.lives if isinstance(life, Bike)]
        rentable = all(life.usable for life in lives)
        world.skip(10**12 + LONGEST_TEST_MS)
        return rentable and all(life.usable and not life.ride_number for life in lives)

    count = len(misbehaviours)
    fleets = (bikes(count, seed=seed, misbehaviours=misbehaviours) for seed in range(100_000))
    return next(fleet for fleet in fleets if is_quiet(fleet))


class UnlockTown:
    """What a test of unlocks has at hand."""

    def __init__(
        self,
        stack: Stack,
        dsn: str,
        gateway: ChildProcess,
        api: ChildProcess,
        keys: dict[DeviceId, DeviceKey],
    ) -> None:
        self.stack = stack
        self.dsn = dsn
        self.gateway = gateway
        self.api = api
        self.keys = keys
        self.town: Town | None = None
        self.client = ApiClient(f"http://127.0.0.1:{api.http_port}", stack.token("staff"))

    @contextmanager
    def with_devices(self, fleet: Fleet, folder: Path, port: int = 0) -> Iterator[Town]:
        """The fleet lives, and the API knows how each device is."""
        with living(fleet, self.keys, port or self.stack.broker.device_port, folder) as town:
            self.town = town
            until(lambda: all(self.knows(one) for one in fleet.device_ids), what="the API knows them")
            yield town

    def issue(
        self, device_id: str, kind: str = "unlock", *, slot: int = 0, ttl_s: int = 10
    ) -> dict[str, Any]:
        """The new command."""
        wish = {"kind": kind, "slot": slot, "ttl_s": ttl_s, "why": "a test"}
        answer: dict[str, Any] = self.client.post(
            f"/v1/devices/{device_id}/commands", wish, {"Idempotency-Key": str(uuid4())}
        )
        return answer

    def end_of(self, command: dict[str, Any]) -> dict[str, Any]:
        """Settled or unconfirmed."""

        def ended() -> dict[str, Any] | None:
            found: dict[str, Any] = self.client.get(f"/v1/commands/{command['id']}?wait_s=20")
            return found if found["phase"] in ENDS else None

        return until(ended, deadline_s=90)

    def device_id(self, number: int) -> DeviceId:
        assert self.town is not None
        return self.town.device_id(number)

    def boot(self, device_id: str) -> int:
        """The newest boot number that was given to it."""
        return int(ask(self.dsn, "select boot from device where device_id = %s", (device_id,))[0][0])

    def executions(self) -> list[Execution]:
        assert self.town is not None
        return self.town.executions()

    def becomes(self, command: dict[str, Any], phase: str) -> None:
        """Sooner or later."""
        until(lambda: self.client.get(f"/v1/commands/{command['id']}")["phase"] == phase, what=phase)

    def story(self, command: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        lines = self.client.get(f"/v1/commands/{command['id']}/timeline")["lines"]
        return [(line["what"], line["detail"]) for line in lines]

    def incidents(self, command: dict[str, Any]) -> list[str]:
        rows = ask(
            self.dsn, "select kind from incident where command_id = %s order by kind", (command["id"],)
        )
        return [row[0] for row in rows]

    def executed(self, command: dict[str, Any]) -> list[Execution]:
        wanted = command["id"].replace("-", "")
        return [one for one in self.executions() if one.command == wanted]

    def knows(self, device_id: str) -> bool:
        """Whether an order could go there: the device has said hello and reported."""
        try:
            seen = self.client.get(f"/v1/devices/{device_id}")
        except Refused:
            return False
        return bool(seen["stamp"] and seen["presence"] == "online")

    def order(self, verb: str, device_id: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`./latchkey device VERB …` as a person types it."""
        settings = {"LATCHKEY_API_URL": self.client.address, "LATCHKEY_TOKEN": self.client.token}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("LATCHKEY_")}
        return subprocess.run(
            [sys.executable, "-m", "cli", "device", verb, device_id, *arguments],
            cwd=CHECKOUT,
            env={**inherited, **settings, "PYTHONPATH": str(CHECKOUT)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@contextmanager
def servers(stack: Stack, dsn: str, fleet: Fleet, folder: Path) -> Iterator[UnlockTown]:
    """Gateway and API that know the fleet, which is not there yet."""
    keys = register(stack, dsn, fleet)
    environment = stack.environment(dsn=dsn)
    with ExitStack() as ending:
        gateway = ending.enter_context(running("gateway", environment, folder / "gateway"))
        api = ending.enter_context(running("api", environment, folder / "api"))
        yield UnlockTown(stack, dsn, gateway, api, keys)


@contextmanager
def unlock_town(
    stack: Stack, dsn: str, folder: Path, misbehaviours: Sequence[Misbehaviour | None], *, port: int = 0
) -> Iterator[UnlockTown]:
    """Ready for orders; `port` is where the devices find the broker."""
    fleet = quiet_bikes(misbehaviours)
    with servers(stack, dsn, fleet, folder) as made, made.with_devices(fleet, folder, port):
        yield made
