"""What each stage of ingest costs on this machine without Latchkey: broker and codec, COPY, the script."""

import asyncio
import time

import psycopg
from msgspec import Struct

from bench import processes
from bench.child import child
from bench.load_rig import LoadRig
from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import SHARDS
from gateway.core.live_state import LiveState, MapEntry, Presence
from gateway.ports import HistoryRow, ShardSteps, Step
from gateway.stores.live_states import RedisLiveStates
from gateway.stores.packed_rows import COLUMNS, pack_rows
from gateway.stores.redis_link import RedisLink


class StageFloor(Struct, frozen=True):
    """CPU microseconds per report of one server, and of the client that drove it."""

    server_us: float
    client_us: float


def broker_floor(rig: LoadRig, *, rate_per_s: float, seconds: float) -> StageFloor:
    """The same frames through the broker into a reader that acknowledges and forgets; the gateway must be stopped."""
    broker = rig.stack.broker
    arguments = ["-m", "bench.bare_reader", "127.0.0.1", str(broker.internal_port)]
    arguments += [broker.gateway_user, broker.gateway_password]
    load = rig.next_load(rate_per_s=rate_per_s, seconds=seconds)
    with (
        child(arguments, rig.gateway.environment, rig.folder / "bare.log") as reader,
        rig.generating(load) as generator,
    ):
        assert reader.read_line() == "READY"
        pids = {"reader": reader.pid, "mosquitto": broker.pid}
        before = processes.read(pids)
        generator.say("go")
        generator.read_line(seconds + 120)
        spent = processes.spent(before, processes.read(pids))
        reader.say("stop")
        count = int(reader.read_line())
    return StageFloor(spent.us_per(count, "mosquitto"), spent.us_per(count, "reader"))


def copy_floor(dsn: str, postgres_pid: int, *, batch_rows: int, batches: int) -> StageFloor:
    """COPY of rows that are packed already, one commit a batch, into a table of the same shape and indexes."""
    payloads = [
        pack_rows([_row(batch * batch_rows + index) for index in range(batch_rows)])
        for batch in range(batches)
    ]
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("create table floor_report (like report including all)")
        try:
            before, before_cpu_s = processes.tree_cpu_s(postgres_pid), time.process_time()
            for payload in payloads:
                with connection.cursor().copy(
                    f"copy floor_report ({COLUMNS}) from stdin (format binary)".encode()
                ) as copy:
                    copy.write(payload)
            client_s = time.process_time() - before_cpu_s
            server_s = processes.tree_cpu_s(postgres_pid) - before
        finally:
            connection.execute("drop table floor_report")
    count = batch_rows * batches
    return StageFloor(server_s / count * 1e6, client_s / count * 1e6)


def _row(number: int) -> HistoryRow:
    now_ms = time.time_ns() // 1_000_000
    return HistoryRow(
        device_no=number % 20_000,
        operator_id=1,
        boot=1,
        seq=number,
        at_ms=now_ms,
        received_ms=now_ms,
        clock_suspect=False,
        kept=False,
        lat_e7=13_000_000,
        lon_e7=1_038_000_000,
        accuracy_m=8.0,
        battery_pct=71,
        bolt=1,
        moving=False,
        units=1,
        spaces=0,
        signal_dbm=-87,
        frame=b"\xa9" * 60,
    )


def script_floor(url: str, redis_pid: int, *, steps_per_shard: int, rounds: int) -> StageFloor:
    """The live-state script alone, with steps that are ready before the clock starts."""
    return asyncio.run(_script_floor(url, redis_pid, steps_per_shard=steps_per_shard, rounds=rounds))


async def _script_floor(url: str, redis_pid: int, *, steps_per_shard: int, rounds: int) -> StageFloor:
    link = RedisLink(url, name="floor")
    states = RedisLiveStates(link)
    prepared = [_steps(number, steps_per_shard) for number in range(rounds)]
    for shard in range(SHARDS):
        if (standing := await states.epoch(shard)) is not None:
            await states.give_up(shard, standing)
        await states.rebuild(shard, _EPOCH, {})
    before, before_cpu_s = processes.cpu_s(redis_pid), time.process_time()
    for shards in prepared:
        if await states.advance(shards):
            raise RuntimeError("a step of the floor did not match: something else writes to this Redis")
    client_s = time.process_time() - before_cpu_s
    server_s = processes.cpu_s(redis_pid) - before
    await link.close()
    count = rounds * SHARDS * steps_per_shard
    return StageFloor(server_s / count * 1e6, client_s / count * 1e6)


_EPOCH = "floor"


def _steps(number: int, per_shard: int) -> list[ShardSteps]:
    """Revision `number + 1` of every floor device; one in eleven is announced, as in the load."""
    shards = []
    for shard in range(SHARDS):
        steps = []
        for index in range(per_shard):
            device_id = DeviceId(f"floor-{shard:02x}-{index:05d}")
            entry = MapEntry(
                device_id,
                "public",
                100_000_000,
                1,
                1,
                13_000_000,
                1_038_000_000,
                True,
                (),
                71,
                1,
                0,
                False,
                0,
            )
            after = LiveState(number + 1, 1, number, 0, 0, Presence.ONLINE, b"\xa9" * 60, (), (), entry)
            steps.append(Step(device_id, number, after, (number + index) % 11 == 0))
        shards.append(ShardSteps(shard, _EPOCH, steps))
    return shards
