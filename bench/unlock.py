"""The benchmark `unlock`: from the HTTP request to CONFIRMED by evidence, beside bare MQTT and bare commits."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import psycopg
import uvloop

from bench import processes
from bench.answering_fleet import LOSE, FleetPlan, FleetSaid
from bench.child import Child, child
from bench.generator import Sent
from bench.load_rig import LOAD_MODEL, LoadRig, load_rig
from bench.result import Result, percentile
from bench.round_trip import HttpConnection
from bench.unlock_client import Answer, ride
from bench.unlock_floors import UnlockFloors
from bench.unlock_spray import SPRAYS_PER_S, Spray, ride_beside
from cli.child_process import ChildProcess
from cli.stack import Stack
from firmware_protocol.messages import DeviceId
from gateway.key_wrapping import KeyWrapping
from gateway.stores.registration import NewDevice, bulk_register

BIKES = 4_000
"""Each is opened a few times, and closes half a second later."""
LOAD_DEVICES = 2_000
LOAD_RATE_PER_S = 3_000
RIDERS = 64
UNLOCKS = 10_000
LOSS_SHARE = 0.01
RIDES_AT_ONCE = 20
FLOORS_AT_ONCE = 10
FLOORS_WARM_UP = 50
SPRAYS = 8
WAIT_S = 15.0
"""Beyond the ten seconds of an unlock and the time for late answers."""


def measure(stack: Stack, folder: Path, *, seconds: float) -> Result:
    """`seconds` for each of the latencies, idle and under load; then 10,000 unlocks with one in a hundred lost."""
    result = Result("unlock")
    with ExitStack() as until_done:
        rig = until_done.enter_context(load_rig(stack, folder, devices=LOAD_DEVICES))
        plan = FleetPlan(
            host="127.0.0.1",
            port=stack.broker.internal_port,
            username=stack.broker.bridge_user,
            password=stack.broker.bridge_password,
            devices=BIKES,
            boot=rig.boot,
            prefix="ride",
            loss_share=LOSS_SHARE,
        )
        _register(rig, plan)
        api = ChildProcess(["api"], rig.gateway.environment, folder)
        until_done.callback(api.close)
        api.start()
        with HttpConnection(api.http_port) as http:
            http.wait_ready(60)
        bench = _Bench(rig, api, plan, token=stack.token("service"), result=result)
        with _answering(rig, plan) as fleet:
            rig.wait_rows(BIKES)
            _warm_up(bench)
            _idle(bench, seconds)
            # It has no key, so it takes no orders.
            _sprayed(bench, Spray(stack.token("staff"), rig.base.device_id(0)))
            load = rig.next_load(rate_per_s=LOAD_RATE_PER_S, seconds=seconds + 4)
            with rig.generating(load) as generator:
                generator.say("go")
                _loaded(bench, seconds)
                msgspec.json.decode(generator.read_line(seconds + 120), type=Sent)
            # The same bikes: one that forgot what it did without starting anew would be refused every order.
            fleet.say(LOSE)
            _with_losses(bench)
            fleet.say("end")
            said = msgspec.json.decode(fleet.read_line(), type=FleetSaid)
        result.metrics["losses_count"] = said.lost
        result.check("no bike opened more than once per unlock", said.opened == bench.asked, f"{said}")
    return result


class _Bench:
    """What all parts of the run share."""

    def __init__(
        self, rig: LoadRig, api: ChildProcess, plan: FleetPlan, *, token: str, result: Result
    ) -> None:
        self.rig = rig
        self.api = api
        self.plan = plan
        self.token = token
        self.result = result
        self.asked = 0
        self._next = 0

    def devices(self, count: int) -> list[DeviceId]:
        """The next ones in turn, so that each has closed before it is opened again."""
        first, self._next = self._next, self._next + count
        return [self.plan.device_id(index % BIKES) for index in range(first, first + count)]

    def ride(self, devices: Sequence[DeviceId], riders: int) -> list[Answer]:
        self.asked += len(devices)
        return uvloop.run(ride(self.api.http_port, self.token, devices, riders=riders, wait_s=WAIT_S))

    def pids(self) -> dict[str, int]:
        return {**self.rig.pids(), "api": self.api.pid}


def _warm_up(bench: _Bench) -> None:
    """Each bike is opened once: keys are in memory and statements prepared, as in a system that was up yesterday."""
    answers = bench.ride(bench.devices(BIKES), RIDERS)
    confirmed = sum(answer.phase == "confirmed" for answer in answers)
    bench.result.check("warm-up: every unlock is confirmed", confirmed == BIKES, f"{confirmed} of {BIKES}")


def _idle(bench: _Bench, seconds: float) -> None:
    """One rider after the other, and the floors in turns with them."""
    answers: list[Answer] = []
    result = bench.result
    with UnlockFloors.open(bench.rig.stack) as floors:
        floors.warm_up(FLOORS_WARM_UP)
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            answers += bench.ride(bench.devices(RIDES_AT_ONCE), riders=1)
            floors.sample(FLOORS_AT_ONCE)
        result.floors.update(floors.medians_ms())
    _told(bench, "idle", answers)
    result.ratio("idle_p50", "idle_p50_ms", "idle_p50_ms")
    ratio = result.ratios["idle_p50"]
    result.check("idle: p50 at most 3 times ping-pong and the same rows bare", ratio <= 3.0, f"{ratio:.2f}")


def _loaded(bench: _Bench, seconds: float) -> None:
    """One rider after the other."""
    answers: list[Answer] = []
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        answers += bench.ride(bench.devices(RIDES_AT_ONCE), riders=1)
    _told(bench, "loaded", answers)
    p99_ms = bench.result.metrics["loaded_p99_ms"]
    bench.result.check("loaded: p99 under 40 ms", p99_ms < 40.0, f"{p99_ms:.1f} ms")


def _told(bench: _Bench, when: str, answers: Sequence[Answer]) -> None:
    result = bench.result
    confirmed = sum(answer.phase == "confirmed" for answer in answers)
    result.check(
        f"{when}: every unlock is confirmed", confirmed == len(answers), f"{confirmed} of {len(answers)}"
    )
    took_ms = sorted(answer.took_s * 1000 for answer in answers)
    result.metrics[f"{when}_unlocks_count"] = len(answers)
    for share in (50, 99):
        result.metrics[f"{when}_p{share}_ms"] = percentile(took_ms, share / 100)
    _stages(bench, when, [answer.command_id for answer in answers])


def _sprayed(bench: _Bench, spray: Spray) -> None:
    """As many unlocks as without it, while one person presses for another device, a hundred times a second; in turns
    with unlocks that nobody disturbs."""
    result = bench.result
    rides = int(result.metrics["idle_unlocks_count"]) // SPRAYS
    alone: list[Answer] = []
    sprayed: list[Answer] = []
    statuses: Counter[int] = Counter()
    took_s = 0.0
    for _ in range(SPRAYS):
        alone += bench.ride(bench.devices(rides), riders=1)
        devices = bench.devices(rides)
        bench.asked += len(devices)
        seen = uvloop.run(ride_beside(bench.api.http_port, bench.token, devices, spray, wait_s=WAIT_S))
        sprayed += seen.answers
        statuses += seen.statuses
        took_s += seen.took_s
    pressed = statuses.total()
    result.metrics["spray_per_s"] = pressed / took_s
    result.metrics["spray_refused_share"] = statuses[429] / pressed
    confirmed = sum(answer.phase == "confirmed" for answer in (*alone, *sprayed))
    result.check(
        "sprayed: every unlock is confirmed",
        confirmed == 2 * SPRAYS * rides,
        f"{confirmed} of {2 * SPRAYS * rides}",
    )
    result.check("sprayed: pressed as often as meant", result.metrics["spray_per_s"] > SPRAYS_PER_S / 2)
    for share in (50, 99):
        name = f"sprayed_p{share}"
        for found, answers in ((result.floors, alone), (result.metrics, sprayed)):
            found[f"{name}_ms"] = percentile(sorted(answer.took_s * 1000 for answer in answers), share / 100)
        result.ratio(name, f"{name}_ms", f"{name}_ms")
        ratio = result.ratios[name]
        result.check(f"sprayed: p{share} at most 1.5 times that without", ratio <= 1.5, f"{ratio:.2f}")


def _stages(bench: _Bench, when: str, command_ids: list[str]) -> None:
    """When each step of the story was reached, in the median, counted from the request."""
    with psycopg.connect(bench.rig.dsn) as connection:
        rows = connection.execute(
            "select what, percentile_cont(0.5) within group (order by extract(epoch from at - begun) * 1000)"
            " from (select *, min(at) over (partition by command_id) as begun from command_event"
            " where command_id = any(%s::uuid[])) as line where what <> 'requested' group by what order by 2",
            (command_ids,),
        ).fetchall()
    for what, at_ms in rows:
        bench.result.metrics[f"{when}_{what}_at_ms"] = float(at_ms)


def _with_losses(bench: _Bench) -> None:
    """Many at once, while one frame in a hundred is lost on its way to a bike or back."""
    result = bench.result
    devices = bench.devices(UNLOCKS)
    before = processes.read(bench.pids())
    answers = bench.ride(devices, RIDERS)
    spent = processes.spent(before, processes.read(bench.pids()))
    result.metrics["unlocks_per_s"] = len(answers) / spent.took_s
    result.metrics["lossy_p50_ms"] = percentile(sorted(answer.took_s * 1000 for answer in answers), 0.5)
    for name in bench.pids():
        result.metrics[f"{name}_us_per_unlock"] = spent.us_per(len(answers), name)
    rate = result.metrics["unlocks_per_s"]
    result.check("at least 250 unlocks a second", rate >= 250, f"{rate:.0f}")
    confirmed = sum(answer.phase == "confirmed" for answer in answers)
    result.check(
        "every unlock is confirmed in spite of losses",
        confirmed == UNLOCKS,
        f"{confirmed} of {UNLOCKS}{_first_other(answers)}",
    )
    _durable(bench, {answer.command_id for answer in answers if answer.command_id})


def _first_other(answers: Sequence[Answer]) -> str:
    """Of an unlock that was not confirmed, what it was answered; empty when there is none."""
    other = next((one for one in answers if one.phase != "confirmed"), None)
    return "" if other is None else f"; one was answered {other.status} {other.phase or other.why_not}"


def _durable(bench: _Bench, command_ids: set[str]) -> None:
    """Nothing stuck, each with one end, one answer of its device and one line of the audit log."""
    count = len(command_ids)
    with psycopg.connect(bench.rig.dsn) as connection:
        row = connection.execute(
            "select count(*) filter (where settled_at is null), count(*) filter (where phase = 'confirmed'),"
            " (select count(*) from command_event where what = 'settled' and command_id = any(%(ids)s)),"
            " (select count(*) from incident)"
            " from command where command_id = any(%(ids)s)",
            {"ids": list(command_ids)},
        ).fetchone()
        audited = connection.execute("select count(*) from audit where action = 'command_issue'").fetchone()
    assert row is not None
    assert audited is not None
    stuck, confirmed, ends, incidents = row
    bench.result.check(
        "none stuck, none settled twice, no incident",
        (stuck, confirmed, ends, incidents) == (0, count, count, 0),
        f"{stuck} stuck, {confirmed} confirmed, {ends} ends, {incidents} incidents",
    )
    bench.result.check("each has its line in the audit log", audited[0] == bench.asked, f"{audited[0]} lines")


def _register(rig: LoadRig, plan: FleetPlan) -> None:
    """The bikes with their keys, and the boot number their frames carry already given."""
    wrapping = KeyWrapping.from_environment(rig.gateway.environment)
    with psycopg.connect(rig.dsn) as connection:
        devices = [NewDevice(plan.device_id(index), LOAD_MODEL.model) for index in range(plan.devices)]
        bulk_register(connection, [LOAD_MODEL], devices)
        connection.execute(
            "update device set boot = %s, power_on_id = device_no where device_id like 'ride-%%'",
            (plan.boot,),
        )
        connection.execute(
            "insert into device_boot (device_no, boot, power_on_id, given_at, operator_id)"
            " select device_no, boot, power_on_id, to_timestamp(boot), operator_id from device"
            " where device_id like 'ride-%'"
        )
        numbers = connection.execute(
            "select device_no from device where device_id like 'ride-%' order by device_id"
        ).fetchall()
        with connection.cursor().copy(
            "copy device_key (device_no, key_no, operator_id, wrapped_by, wrapped) from stdin"
        ) as copy:
            for index, (device_no,) in enumerate(numbers):
                key = plan.key(index)
                wrapped = wrapping.wrap(key, device_no=device_no)
                copy.write_row((device_no, key.number, 1, wrapped.by, wrapped.sealed))


@contextmanager
def _answering(rig: LoadRig, plan: FleetPlan) -> Iterator[Child]:
    arguments = ["-m", "bench.answering_fleet", msgspec.json.encode(plan).decode()]
    with child(arguments, rig.gateway.environment, rig.folder / "fleet.log") as fleet:
        assert fleet.read_line(120) == "READY"
        yield fleet
