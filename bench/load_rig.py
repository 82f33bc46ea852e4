"""A stack with a registered load fleet, and one run of load over it, measured and checked row by row."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import psycopg
import redis
from msgspec import Struct
from msgspec.structs import replace

from bench import processes
from bench.broker_sessions import forget_sessions
from bench.child import Child, child
from bench.gateway_counts import GatewayCounts, read_counts
from bench.generator import Load, Sent
from bench.processes import Spent
from cli.child_process import ChildProcess
from cli.stack import Stack
from gateway.core.device import DeviceModel, Kind
from gateway.core.live_state import LiveState
from gateway.stores.migrate import migrate
from gateway.stores.registration import NewDevice, bulk_register

LOAD_MODEL = DeviceModel(
    model="load_bike", kind=Kind.BIKE, heartbeat_s=60, quiet_after_s=600, lost_after_s=3600
)
_live_state = msgspec.msgpack.Decoder(LiveState)


class LoadRun(Struct, frozen=True):
    """One run of load."""

    load: Load
    sent: Sent
    rows: int
    distinct: int
    live_matches: int
    """Devices whose live state holds their last report."""
    stored_within_s: float
    """From the last report written until its row was committed: the backlog at the end."""
    spent: Spent
    feed: Mapping[str, float]
    rss_bytes: tuple[int, int]
    """Of the gateway, a quarter into the run and at its end."""
    batches: GatewayCounts
    """What the gateway counted during the run."""

    def us(self, name: str) -> float:
        """CPU microseconds of one process tree per report."""
        return self.spent.us_per(self.sent.sent, name)

    @property
    def whole(self) -> bool:
        """Nothing missing, nothing doubled, live state at the last report."""
        expected = self.sent.sent
        devices = min(self.load.devices, expected)
        return self.rows == self.distinct == expected and self.live_matches == devices


class LoadRig:
    """Everything but the load itself; the gateway runs."""

    def __init__(self, stack: Stack, dsn: str, folder: Path, devices: int) -> None:
        self.stack = stack
        self.dsn = dsn
        self.folder = folder
        self.boot = int(time.time())
        self.gateway = ChildProcess(
            ["gateway"], stack.environment(dsn=dsn, LATCHKEY_REPORTS_PER_DEVICE="0"), folder
        )
        self._next_seq = 1
        self.base = Load(
            host="127.0.0.1",
            port=stack.broker.internal_port,
            username=stack.broker.bridge_user,
            password=stack.broker.bridge_password,
            connections=1000,
            devices=devices,
            rate_per_s=15_000,
            seconds=10,
            boot=self.boot,
        )

    def pids(self) -> dict[str, int]:
        """Name -> process id of every part."""
        return {
            "gateway": self.gateway.pid,
            "mosquitto": self.stack.broker.pid,
            "redis": self.stack.redis.pid,
            "postgres": self.stack.postgres.pid,
        }

    def next_load(self, *, rate_per_s: float, seconds: float, devices: int = 0) -> Load:
        """A load that continues every device's numbering."""
        load = replace(
            self.base,
            rate_per_s=rate_per_s,
            seconds=seconds,
            devices=devices or self.base.devices,
            first_seq=self._next_seq,
        )
        self._next_seq += int(rate_per_s * seconds) // load.devices + 2
        return load

    @contextmanager
    def generating(self, load: Load) -> Iterator[Child]:
        """A generator that is connected and waits for a line."""
        arguments = ["-m", "bench.generator", msgspec.json.encode(load).decode()]
        with child(arguments, self.gateway.environment, self.folder / "generator.log") as generator:
            assert generator.read_line(120) == "READY"
            yield generator

    def run(self, *, rate_per_s: float, seconds: float, devices: int = 0) -> LoadRun:
        """One load from begin to the last row; raises TimeoutError when the gateway never catches up."""
        load = self.next_load(rate_per_s=rate_per_s, seconds=seconds, devices=devices)
        with ExitStack() as open_until_done:
            feed = open_until_done.enter_context(
                child(["-m", "bench.feed_reader", self.stack.redis.url()], self.gateway.environment,
                      self.folder / "feed.log")
            )  # fmt: skip
            assert feed.read_line() == "READY"
            generator = open_until_done.enter_context(self.generating(load))
            pids = {**self.pids(), "generator": generator.pid, "feed_reader": feed.pid}
            counted = read_counts(self.gateway.http_port)
            before = processes.read(pids)
            generator.say("go")
            time.sleep(seconds / 4)  # a quarter in, the gateway has its working set
            early_rss = processes.rss_bytes(self.gateway.pid)
            sent = msgspec.json.decode(generator.read_line(seconds + 120), type=Sent)
            stored_within_s = self.wait_counted(counted, sent.sent)
            after = processes.read(pids)
            batches = read_counts(self.gateway.http_port).since(counted)
            late_rss = processes.rss_bytes(self.gateway.pid)
            feed.say("stop")
            feed_said = json.loads(feed.read_line())
        rows, distinct = self.rows_of(load)
        return LoadRun(
            load=load,
            sent=sent,
            rows=rows,
            distinct=distinct,
            live_matches=self.count_live(load, sent.sent),
            stored_within_s=stored_within_s,
            spent=processes.spent(before, after),
            feed=feed_said,
            rss_bytes=(early_rss, late_rss),
            batches=batches,
        )

    def wait_counted(self, before: GatewayCounts, rows: int, within_s: float = 120.0) -> float:
        """Seconds until the gateway says that it stored so many rows more. Raises TimeoutError."""
        begin_s = time.monotonic()
        while (stored := read_counts(self.gateway.http_port).since(before).stored_rows) < rows:
            if time.monotonic() - begin_s > within_s:
                raise TimeoutError(f"{rows - stored:.0f} rows are still missing after {within_s} s")
            time.sleep(0.02)  # a poll
        return time.monotonic() - begin_s

    # --- what the stores hold --------------------------------------------------------------------------

    def count_rows(self) -> int:
        """Rows in history."""
        with psycopg.connect(self.dsn) as connection:
            row = connection.execute("select count(*) from report_all").fetchone()
        assert row is not None
        return int(row[0])

    def wait_rows(self, expected: int, within_s: float = 120.0, *, poll_s: float = 0.02) -> float:
        """Seconds until history holds that many rows. Raises TimeoutError."""
        begin_s = time.monotonic()
        while (count := self.count_rows()) < expected:
            if time.monotonic() - begin_s > within_s:
                raise TimeoutError(f"{expected - count} rows are still missing after {within_s} s")
            time.sleep(poll_s)  # a poll
        return time.monotonic() - begin_s

    def rows_of(self, load: Load) -> tuple[int, int]:
        """Rows and distinct stamps of one load."""
        with psycopg.connect(self.dsn) as connection:
            row = connection.execute(
                "select count(*), count(distinct (device_no, boot, seq)) from report_all where seq >= %s",
                (load.first_seq,),
            ).fetchone()
        assert row is not None
        return int(row[0]), int(row[1])

    def count_live(self, load: Load, sent: int) -> int:
        """Devices whose live state is at the last seq that was sent for them."""
        rounds, rest = divmod(sent, load.devices)
        matches = 0
        with redis.Redis.from_url(self.stack.redis.url()) as client:
            for shard in range(16):
                for device_id, value in client.hscan_iter(f"lk:{{{shard:02x}}}:live", count=1000):
                    index = int(device_id.decode().rpartition("-")[2])
                    last = load.first_seq + rounds - (index >= rest)
                    matches += last >= load.first_seq and _live_state.decode(value[8:]).seq == last
        return matches


def register(dsn: str, load: Load) -> None:
    """The fleet in the registry, with the boot number its frames carry already given."""
    with psycopg.connect(dsn) as connection:
        devices = [NewDevice(load.device_id(index), LOAD_MODEL.model) for index in range(load.devices)]
        bulk_register(connection, [LOAD_MODEL], devices)
        connection.execute("update device set boot = %s, power_on_id = device_no", (load.boot,))
        connection.execute(
            "insert into device_boot (device_no, boot, power_on_id, given_at, operator_id)"
            " select device_no, boot, power_on_id, to_timestamp(boot), operator_id from device"
        )


@contextmanager
def load_rig(stack: Stack, folder: Path, *, devices: int, registered: int = 0) -> Iterator[LoadRig]:
    """A ready gateway over an empty Redis, empty queues and a fresh database that knows the load fleet or more."""
    folder.mkdir(parents=True, exist_ok=True)
    with redis.Redis.from_url(stack.redis.url()) as client:
        client.flushall()
    forget_sessions(stack)
    dsn = stack.create_database()
    migrate(dsn, "require" if stack.postgres.timescale else "off")
    rig = LoadRig(stack, dsn, folder, devices)
    register(dsn, replace(rig.base, devices=max(devices, registered)))
    try:
        rig.gateway.start()
        yield rig
    finally:
        rig.gateway.close()
        stack.postgres.drop_database(dsn)
