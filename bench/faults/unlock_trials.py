"""Trials in which people open bikes while servers are killed around them."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle, islice
from random import Random
from uuid import uuid4

from bench.faults.findings import Findings
from bench.faults.obeying_town import Town, bikes, living, register
from bench.faults.riders import Riders, Wished
from bench.faults.rig import Rig, rigged
from bench.faults.trial import Scene
from bench.faults.unlock_verdict import Ordered, judge
from bench.faults.waiting import pass_time, wait_for
from cli.api_client import ApiClient
from cli.child_process import ChildProcess
from firmware_protocol.messages import DeviceId

BIKES = 60
BIKES_OF_LONG = 400
LONG_S = 30.0
LIFE_SPEED = 12.0
"""Who was opened is closed, or ridden, some seconds later."""
TTL_S = 4
KILL_TTL_S = 10
"""Outlives the gateway by as much as the next one needs to carry on."""
LATE_S = 2
"""So long after `not_after` a gateway waits for answers before a command is UNCONFIRMED."""
ENDED_WITHIN_S = KILL_TTL_S + LATE_S + 20.0
"""Twenty seconds for a gateway that was killed last, on a machine with other things to do."""

_COMMANDS = """
    select replace(command_id::text, '-', ''), device.device_id, slot, command.fence, phase
    from command join device using (device_no) order by device_no, issued_at, command.fence
"""
_OPEN = "select count(*) from command where settled_at is null and phase <> 'unconfirmed'"


class UnlockRig:
    """Servers, gateway and API of one trial, and bikes that obey."""

    def __init__(self, rig: Rig, api: ChildProcess, town: Town, chance: Random) -> None:
        self.rig = rig
        self.api = api
        self.town = town
        self.token = rig.stack.token("service")
        self.riders = Riders(self.client, town.fleet.device_ids, chance)

    def client(self) -> ApiClient:
        """Of the API that runs now: each life of it has a port of its own."""
        return ApiClient(f"http://127.0.0.1:{self.api.http_port}", self.token)

    def conclude(self) -> Findings:
        """Waits for every end, and judges."""
        findings = self.rig.findings
        took_s = wait_for("the end of every command", lambda: not self.rig.number(_OPEN), within_s=120.0)
        findings.measure("ended after the last wish, s", took_s, at_most=ENDED_WITHIN_S)
        ordered = [Ordered(*row) for row in self.rig.rows(_COMMANDS)]
        for what, examples in judge(ordered, self.town.executions()).items():
            findings.count(what, len(examples), examples[0])
        self._same_wish_same_command(findings)
        incidents = self.rig.rows("select kind, count(*) from incident group by kind")
        findings.expect("incidents", incidents, [])
        phases = self.rig.rows("select phase, count(*) from command group by phase order by 2 desc")
        said = ", ".join(f"{count} {phase}" for phase, count in phases)
        findings.said.append(f"{len(self.riders.wishes)} wishes, {len(ordered)} commands: {said}")
        findings.count("nobody opened anything", not any(one.phase == "confirmed" for one in ordered))
        return findings

    def _same_wish_same_command(self, findings: Findings) -> None:
        """Put once more, every wish that became a command is that command still."""
        for wish in self.riders.issued:
            self.riders.put(wish)
            findings.count("one key, two commands", len(wish.command_ids) > 1, wish.command_ids)
            findings.count("a repeated wish was refused", bool(wish.refused), wish.refused)
        unanswered = [wish for wish in self.riders.wishes if wish.refused == "never answered"]
        findings.count("a wish was never answered", len(unanswered))


@contextmanager
def unlock_rigged(scene: Scene) -> Iterator[UnlockRig]:
    """Every bike has been heard."""
    chance = scene.chance
    with rigged(scene, devices=1) as rig, ExitStack() as ending:
        count = BIKES_OF_LONG if scene.seconds >= LONG_S else BIKES
        fleet = bikes(count, seed=scene.seed)
        keys = register(scene.stack, rig.dsn, fleet)
        rig.gateway.stop()
        rig.gateway.start()
        api = ChildProcess(["api"], rig.environment, scene.folder, spawn=scene.spawn)
        ending.callback(api.close)
        api.start()
        port = scene.stack.broker.device_port
        town = ending.enter_context(living(fleet, keys, port, scene.folder, speed=LIFE_SPEED))
        wait_for("a report of every bike", lambda: _heard(rig) == count)
        yield UnlockRig(rig, api, town, chance)


def _heard(rig: Rig) -> int:
    return rig.number("select count(distinct device_no) from report_all")


def unlocks_under_fire(scene: Scene) -> Findings:
    """Gateway, API, broker, PostgreSQL and Redis die by lot while bikes are opened."""
    with unlock_rigged(scene) as made:
        rig, chance = made.rig, Random(scene.seed)
        made.riders.start(4, pause_s=0.2, ttl_s=TTL_S)
        begin_s = time.monotonic()
        while time.monotonic() < begin_s + scene.seconds:
            pass_time(time.monotonic() + chance.uniform(0.2, 0.7))
            _kill_one(made, chance)
            rig.findings.strikes += 1
        made.riders.end()
        return made.conclude()


def _kill_one(made: UnlockRig, chance: Random) -> None:
    stack = made.rig.stack
    match chance.choice(("gateway", "api", "broker", "postgres", "redis", "backend")):
        case "gateway":
            made.rig.kill_gateway()
        case "api":
            made.api.kill()
            made.api.start()
        case "backend":
            made.rig.kill_a_backend()
        case name:
            server = {"broker": stack.broker, "postgres": stack.postgres, "redis": stack.redis}[name]
            server.kill()
            server.start()


def unlock_without_redis(scene: Scene) -> Findings:
    """Every unlock is carried out while Redis is away, and confirmed once it is back."""
    with unlock_rigged(scene) as made:
        rig, redis = made.rig, made.rig.stack.redis
        # What was last heard is saved every minute, and when a gateway stops: the way to it without Redis.
        rig.gateway.stop()
        rig.gateway.start()
        redis.kill()
        rig.findings.strikes = 1
        try:
            begin_s = time.monotonic()
            for device_id in made.town.fleet.device_ids:
                if time.monotonic() > begin_s + scene.seconds:
                    break
                wish = Wished(device_id, str(uuid4()), 10, set())
                made.riders.wishes.append(wish)
                made.riders.put(wish)
            asked = {one.replace("-", "") for wish in made.riders.issued for one in wish.command_ids}
            wait_for("every opening", lambda: asked <= {one.command for one in made.town.executions()})
        finally:
            redis.start()
        in_vain = [
            wish.refused for wish in made.riders.wishes if wish.refused and not _is_right(wish.refused)
        ]
        rig.findings.count("refused for want of Redis", len(in_vain), in_vain[:1])
        unconfirmed = "select count(*) from command where phase <> 'confirmed'"
        wait_for("every confirmation", lambda: not rig.number(unconfirmed))
        return made.conclude()


def _is_right(refused: str) -> bool:
    """A bike that is ridden, stuck or empty is not opened with Redis either."""
    return any(reason in refused for reason in ("already_open", "low_battery", "fault"))


STEPS = ("issued", "claimed", "published", "device_ack", "evidence")
"""Lines of a story; the gateway is killed as soon as one is there."""
_HAS_LINE = "select count(*) from command_event where command_id = '{}' and what in ('{}', 'settled')"


def kills_between_steps(scene: Scene) -> Findings:
    """kill -9 of the gateway right after each step of an unlock, in turn."""
    with unlock_rigged(scene) as made:
        begin_s, rounds = time.monotonic(), 0
        devices = cycle(made.town.fleet.device_ids)
        while not rounds or time.monotonic() < begin_s + scene.seconds:
            for line in STEPS:
                _kill_after(made, line, devices)
                made.rig.findings.strikes += 1
            rounds += 1
        return made.conclude()


def _kill_after(made: UnlockRig, line: str, devices: Iterator[DeviceId]) -> None:
    """Opens the next bike that can be opened."""
    rig = made.rig
    if line == "issued":
        rig.gateway.freeze()
    for device_id in islice(devices, len(made.town.fleet)):
        wish = Wished(device_id, str(uuid4()), KILL_TTL_S, set())
        made.riders.wishes.append(wish)
        made.riders.put(wish)
        if wish.command_ids:
            _wait_for_line(rig, min(wish.command_ids), line)
            break
    rig.kill_gateway()


def _wait_for_line(rig: Rig, command_id: str, line: str) -> None:
    wait_for(line, lambda: rig.number(_HAS_LINE.format(command_id, line)) > 0)
