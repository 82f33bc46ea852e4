"""A running Latchkey to break: servers, a registered fleet, a gateway, and devices that keep their word."""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import redis

from bench.child import Child, child
from bench.faults.findings import Findings
from bench.faults.gateway_page import GatewayPage
from bench.faults.kept_fleet import FleetPlan, FleetTruth
from bench.faults.trial import Scene
from bench.faults.waiting import wait_for
from cli.child_process import ChildProcess
from cli.stack import Stack
from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import SHARDS
from gateway.core.device import DeviceModel, Kind
from gateway.stores.migrate import migrate
from gateway.stores.registration import NewDevice, bulk_register

TRIAL_MODEL = DeviceModel(
    model="trial_bike", kind=Kind.BIKE, heartbeat_s=30, quiet_after_s=75, lost_after_s=300
)


class Rig:
    """One gateway on one stack with one fresh database; the trial's nemesis has the run of it."""

    def __init__(self, scene: Scene, dsn: str, device_count: int) -> None:
        self.stack = stack = scene.stack
        self.dsn = dsn
        self.folder = folder = scene.folder
        self.passwords = {f"trial-{index:04d}": f"password-{index:04d}" for index in range(device_count)}
        self.environment = stack.environment(dsn=dsn, LATCHKEY_REPORTS_PER_DEVICE="0")
        self.gateway = ChildProcess(["gateway"], self.environment, folder, spawn=scene.spawn)
        self.page = GatewayPage(lambda: self.gateway.http_port)
        self.findings = Findings()

    def kill_gateway(self) -> None:
        """kill -9, and started again; returns when it is ready."""
        self.gateway.kill()
        self.gateway.start()

    def gateway_rss_bytes(self, *, peak: bool = False) -> int:
        """The memory the running gateway holds, or the most it has held."""
        name = "VmHWM:" if peak else "VmRSS:"
        for line in Path(f"/proc/{self.gateway.pid}/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
        raise ProcessLookupError("the gateway has ended")

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The answer of one statement, which is committed; a server that recovers is waited for."""
        with self._connected() as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def _connected(self) -> "psycopg.Connection[tuple[Any, ...]]":
        found: list[psycopg.Connection[tuple[Any, ...]]] = []

        def came() -> bool:
            with suppress(psycopg.OperationalError):
                found.append(psycopg.connect(self.dsn, autocommit=True))
            return bool(found)

        wait_for("an answer from PostgreSQL", came)
        return found[0]

    def number(self, sql: str) -> int:
        """The one number that a statement answers with."""
        return int(self.rows(sql)[0][0])

    def stored(self) -> int:
        """Rows committed by the present gateway process, as it counts them."""
        return int(self.page.metric("latchkey_stored_rows_total"))

    def wait_for_new_rows(self, *, within_s: float = 60.0) -> float:
        """The seconds until the gateway commits something it has not committed yet. Raises NeverCame."""
        before = self.stored()
        return wait_for("a commit", lambda: self.stored() > before, within_s=within_s)

    def redis(self) -> redis.Redis:
        """A client; use it in a `with`."""
        return redis.Redis.from_url(self.stack.redis.url())

    def shards_are_whole(self) -> bool:
        """Whether every shard has an epoch that was begun in the present life of Redis."""
        try:
            with self.redis() as client:
                run_id = client.info("server")["run_id"].encode()
                keys = [f"lk:{{{shard:02x}}}:{name}" for shard in range(SHARDS) for name in ("epoch", "run")]
                values = client.mget(keys)
        except redis.RedisError:
            return False
        return all(values[::2]) and set(values[1::2]) == {run_id}

    def wait_ready(self, *, within_s: float = 60.0) -> float:
        """The seconds until the gateway does all of its work. Raises NeverCame."""
        return wait_for("readiness", self.page.is_ready, within_s=within_s)

    def kill_a_backend(self) -> None:
        """kill -9 of one PostgreSQL backend, which makes the server cut all others and recover; returns when it has
        cut them, so that nobody is cut who comes later. One in recovery is left alone."""
        try:
            connection = psycopg.connect(self.dsn, autocommit=True)
        except psycopg.OperationalError:
            return
        with closing(connection):
            row = connection.execute(
                "select pid from pg_stat_activity where datname = current_database()"
                " and pid <> pg_backend_pid() order by backend_start limit 1"
            ).fetchone()
            if row is not None:
                os.kill(row[0], signal.SIGKILL)
                wait_for("the end of all connections", lambda: _is_cut(connection))

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
def rigged(scene: Scene, *, devices: int = 200) -> Iterator[Rig]:
    """A rig whose gateway is ready; everything it started is gone at the end."""
    stack = scene.stack
    scene.folder.mkdir(parents=True, exist_ok=True)
    dsn = stack.create_database()
    try:
        rig = Rig(scene, dsn, devices)
        prepare(stack, dsn, rig.passwords, [TRIAL_MODEL])
        try:
            rig.gateway.start()
            yield rig
        finally:
            for server in stack.servers:
                server.thaw()
                server.start()
            rig.gateway.close()
    finally:
        stack.postgres.drop_database(dsn)


def _is_cut(connection: psycopg.Connection[tuple[Any, ...]]) -> bool:
    try:
        connection.execute("select 1")
    except psycopg.OperationalError:
        return True
    return False
