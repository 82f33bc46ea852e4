"""A running Latchkey to break: servers, a registered fleet, a gateway, and devices that keep their word."""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psycopg
import redis

from bench.child import Child, child
from bench.faults.kept_fleet import FleetPlan, FleetTruth
from cli.child_process import ChildProcess
from cli.stack import Stack
from firmware_protocol.messages import DeviceId
from gateway.core.device import DeviceModel, Kind
from gateway.stores.migrate import migrate
from gateway.stores.registration import NewDevice, bulk_register

TRIAL_MODEL = DeviceModel(
    model="trial_bike", kind=Kind.BIKE, heartbeat_s=30, quiet_after_s=75, lost_after_s=300
)


class Rig:
    """One gateway on one stack with one fresh database; the trial's nemesis has the run of it."""

    def __init__(self, stack: Stack, dsn: str, folder: Path, device_count: int) -> None:
        self.stack = stack
        self.dsn = dsn
        self.folder = folder
        self.passwords = {f"trial-{index:04d}": f"password-{index:04d}" for index in range(device_count)}
        self.environment = stack.environment(dsn=dsn)
        self.gateway = ChildProcess(["gateway"], self.environment, folder)

    def kill_gateway(self) -> None:
        """kill -9, and started again; returns when it is ready."""
        self.gateway.kill()
        self.gateway.start()

    def peak_gateway_rss_bytes(self) -> int:
        """The most memory the running gateway has held."""
        for line in Path(f"/proc/{self.gateway.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise ProcessLookupError("the gateway has ended")

    def kill_a_backend(self) -> None:
        """kill -9 of one PostgreSQL backend, which makes the server recover; one in recovery is left alone."""
        try:
            with psycopg.connect(self.dsn) as connection:
                row = connection.execute(
                    "select pid from pg_stat_activity where datname = current_database()"
                    " and pid <> pg_backend_pid() order by backend_start limit 1"
                ).fetchone()
        except psycopg.OperationalError:
            return
        if row is not None:
            os.kill(row[0], signal.SIGKILL)

    @contextmanager
    def fleet(self, **plan: object) -> Iterator["RunningFleet"]:
        """Devices of this rig in a process of their own, connected and welcomed; `plan` as in FleetPlan."""
        truth_file = self.folder / "truth.json"
        truth_file.unlink(missing_ok=True)
        plan_file = self.folder / "plan.json"
        fixed = {
            "host": "127.0.0.1",
            "port": self.stack.broker.device_port,
            "passwords": self.passwords,
            "truth_file": str(truth_file),
            "model": TRIAL_MODEL.model,
        }
        plan_file.write_bytes(msgspec.json.encode(msgspec.convert(fixed | plan, FleetPlan)))
        arguments = ["-m", "bench.faults.kept_fleet", str(plan_file)]
        with child(arguments, self.environment, self.folder / "fleet.log") as process:
            _expect(process, "READY", 120.0)
            yield RunningFleet(process, truth_file)


class RunningFleet:
    """The devices while they report and drain."""

    def __init__(self, process: Child, truth_file: Path) -> None:
        self._process = process
        self._truth_file = truth_file

    def conclude(self, within_s: float) -> FleetTruth:
        """What the devices know, once they have drained or given up."""
        _expect(self._process, "DONE", within_s)
        return msgspec.json.decode(self._truth_file.read_bytes(), type=FleetTruth)


def _expect(process: Child, line: str, within_s: float) -> None:
    said = process.read_line(within_s)
    if said != line:
        raise RuntimeError(f"the fleet said {said!r} instead of {line!r}: see {process.log_file}")


def prepare(stack: Stack, dsn: str, passwords: dict[str, str], models: Sequence[DeviceModel]) -> None:
    """An empty Redis, a migrated database, and the devices known to registry and broker."""
    with redis.Redis.from_url(stack.redis.url()) as client:
        client.flushall()
    migrate(dsn, "require" if stack.postgres.timescale else "off")
    with psycopg.connect(dsn) as connection:
        new = [NewDevice(DeviceId(device_id), models[0].model) for device_id in passwords]
        bulk_register(connection, models, new)
    stack.broker.set_devices(passwords)


@contextmanager
def rigged(stack: Stack, folder: Path, *, devices: int = 200) -> Iterator[Rig]:
    """A rig whose gateway is ready; everything it started is gone at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    dsn = stack.create_database()
    rig = Rig(stack, dsn, folder, devices)
    prepare(stack, dsn, rig.passwords, [TRIAL_MODEL])
    try:
        rig.gateway.start()
        yield rig
    finally:
        for server in stack.servers:
            server.thaw()
            server.start()
        rig.gateway.close()
        stack.postgres.drop_database(dsn)
