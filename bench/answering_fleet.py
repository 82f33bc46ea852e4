"""Bikes that answer an unlock at once, all over one connection: the other end of the benchmark `unlock`."""

import asyncio
import hashlib
import sys
import time
from argparse import ArgumentParser
from random import Random

import msgspec
import uvloop
from mqtt5 import ConnectPacket, PublishPacket
from msgspec import Struct

from bench.mqtt_peer import MqttPeer
from firmware_protocol.codec import Encoding, encode_report
from firmware_protocol.commands import Ack, AckResult, Command
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.messages import Bolt, DeviceId, Fix, Lock, Report
from firmware_protocol.signature import sign_ack, verify_command
from firmware_protocol.topics import ack_topic, report_topic

CLOSES_AFTER_S = 0.5
"""A rider who takes the bike and brings it back at once, so that it can be opened again."""

LOSE = "lose"

ECHO_FROM = "lk/v1/00/echo/cmd"
ECHO_TO = "lk/v1/00/echo/ack"
"""The floor: what comes here goes back there, and nobody looks at it."""


class FleetPlan(Struct, frozen=True):
    """Who the bikes are, and what the network does to what they hear and say."""

    host: str
    port: int
    username: str
    password: str
    devices: int
    boot: int
    loss_share: float = 0.0
    """Of commands that are not heard and of answers that are not sent, once the run is told to lose some."""
    seed: int = 1
    prefix: str = "bench"

    def device_id(self, index: int) -> DeviceId:
        return DeviceId(f"{self.prefix}-{index:06d}")

    def key(self, index: int) -> DeviceKey:
        """Known to the registry and to the bike; of no use to anyone else."""
        return DeviceKey(1, hashlib.sha256(f"{self.prefix} {self.seed} {index}".encode()).digest())


class FleetSaid(Struct, frozen=True):
    """What the bikes did in one run."""

    heard: int
    opened: int
    repeated: int
    """Commands that came again, and were answered again without opening."""
    lost: int
    cpu_s: float


class Bike:
    """One bolt, and the answers it has given."""

    def __init__(self, plan: FleetPlan, index: int) -> None:
        self.device_id = plan.device_id(index)
        self.key = plan.key(index)
        self.report_topic = report_topic(self.device_id)
        self.ack_topic = ack_topic(self.device_id)
        self.answers: dict[bytes, bytes] = {}
        self.fence = 0
        self.openings = 0
        self.seq = 0
        self.place = Fix(
            lat_e7=13_000_000 + index * 17 % 1_000_000, lon_e7=1_038_000_000 + index * 31 % 2_000_000
        )

    def report(self, bolt: Bolt, boot: int) -> bytes:
        """The whole state, stamped."""
        self.seq += 1
        report = Report(
            boot=boot,
            seq=self.seq,
            elapsed_ms=time.time_ns() // 1_000_000 - boot * 1000,
            fix=self.place,
            lock=Lock(bolt=bolt, last_fence=self.fence, openings=self.openings),
            battery_pct=71,
            moving=False,
        )
        return encode_report(report, encoding=Encoding.CBOR)


class AnsweringFleet(MqttPeer):
    """Hears the commands of all bikes, and speaks for each."""

    def __init__(self, plan: FleetPlan) -> None:
        connect = ConnectPacket(
            f"{plan.prefix}-fleet",
            username=plan.username,
            password=plan.password.encode(),
            clean_start=True,
            keep_alive=600,
        )
        super().__init__(connect, ["lk/v1/+/+/cmd"])
        self.plan = plan
        self.loses = False
        self.commands = self.opened = self.repeated = self.lost = 0
        self._chance = Random(plan.seed)
        self._bikes = {bike.device_id: bike for bike in (Bike(plan, index) for index in range(plan.devices))}

    def introduce_all(self) -> None:
        """The first report of each."""
        for bike in self._bikes.values():
            self.say(bike.report_topic, bike.report(Bolt.CLOSED, self.plan.boot))

    def heard(self, packet: PublishPacket) -> None:
        if packet.topic == ECHO_FROM:
            self.say(ECHO_TO, packet.payload)
            return
        bike = self._bikes.get(DeviceId(packet.topic.split("/")[3]))
        if bike is None:
            return
        self.commands += 1
        if self._is_lost():
            return
        command = verify_command(packet.payload, device_id=bike.device_id, keys=(bike.key,))
        if (answer := bike.answers.get(command.command_id)) is not None:
            self.repeated += 1
            self._answer(bike, answer)
        elif command.fence > bike.fence:
            self._open(bike, command)

    def _open(self, bike: Bike, command: Command) -> None:
        self.opened += 1
        bike.fence = command.fence
        bike.openings += 1
        ack = Ack(command.command_id, AckResult.EXECUTED, self.plan.boot, command.fence)
        answer = bike.answers[command.command_id] = sign_ack(ack, device_id=bike.device_id, key=bike.key)
        self._answer(bike, answer)
        self.say(bike.report_topic, bike.report(Bolt.OPEN, self.plan.boot))
        asyncio.get_running_loop().call_later(CLOSES_AFTER_S, self._close, bike)

    def _close(self, bike: Bike) -> None:
        if not self.transport.is_closing():
            self.say(bike.report_topic, bike.report(Bolt.CLOSED, self.plan.boot))

    def _answer(self, bike: Bike, answer: bytes) -> None:
        if not self._is_lost():
            self.say(bike.ack_topic, answer)

    def _is_lost(self) -> bool:
        lost = self.loses and self._chance.random() < self.plan.loss_share
        self.lost += lost
        return lost


async def run(plan: FleetPlan) -> FleetSaid:
    """Prints READY; loses some from a line LOSE on stdin on, and ends with any other."""
    loop = asyncio.get_running_loop()
    transport, fleet = await loop.create_connection(lambda: AnsweringFleet(plan), plan.host, plan.port)
    await fleet.subscribed
    fleet.introduce_all()
    print("READY", flush=True)
    while (await loop.run_in_executor(None, sys.stdin.readline)).strip() == LOSE:
        fleet.loses = True
    transport.close()
    return FleetSaid(fleet.commands, fleet.opened, fleet.repeated, fleet.lost, time.process_time())


def main() -> None:
    """Reads one JSON FleetPlan from the command line, prints READY, and at the end one JSON FleetSaid."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("plan", help="a FleetPlan as JSON")
    plan = msgspec.json.decode(parser.parse_args().plan, type=FleetPlan)
    print(msgspec.json.encode(uvloop.run(run(plan))).decode(), flush=True)


if __name__ == "__main__":
    main()
