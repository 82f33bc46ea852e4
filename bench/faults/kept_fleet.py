"""A fleet of correct full devices whose every report is kept, and who remember what they were promised."""

import asyncio
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from random import Random

import msgspec
import uvloop
from msgspec import Struct

from device_sim.driver import Address, Message, Party
from device_sim.lean_driver import LeanDriver
from device_sim.packets import Mqtt5
from firmware_protocol import topics
from firmware_protocol.codec import Encoding, decode_receipt, decode_report
from firmware_protocol.device_session import DeviceSession, Identity
from firmware_protocol.effects import Effect, Publish
from firmware_protocol.messages import Bolt, DeviceId, Fix, Lock, Report

TICK_S = 0.01
NO_MATCHING_SUBSCRIBERS = 0x10
REPORTS_OF_A_USE = 40
"""So that bikes are given new public ids while everything around them dies, and not for every report."""
RING_SIZE = 100_000
"""A trial outlasts the 64 of the smallest device: nothing may be lost for want of a ring."""

POISON = (
    b"\x00",
    b"{",
    b'{"seq":"x"}',
    b"\xa1\x18\xff",
    b"\xff" * 40,
    b'{"firmware":"\xff\xfe"}',
    b'{"fix":{"lat_e7":9990000000,"lon_e7":0}}',
    b'{"slots":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    b"\xa1\x07" + b"\x81" * 5_000,
    b'{"firmware":"' + b"x" * 16_500 + b'"}',
)
"""Cut off, of the wrong type, no text, beyond the poles, nested deeply, above the frame limit but not the broker's."""


class FleetPlan(Struct, frozen=True):
    """Who the devices are and what their network does to them."""

    host: str
    port: int
    passwords: dict[str, str]
    """device id -> password, as the broker knows them."""
    rate_per_s: float
    """Reports of the whole fleet together."""
    seconds: float
    drain_s: float
    """How long after the last report the devices go on sending what is not receipted."""
    truth_file: str
    model: str
    seed: int = 1
    drop_share: float = 0.0
    """Publishes lost before the broker."""
    copies: int = 1
    """How often each report is published."""
    poison_share: float = 0.0
    """Extra frames that are not frames, as a share of the reports."""
    device_clock_speed: float = 10.0
    """Devices live faster than we do, so that their waits of half a minute fit into a trial."""
    lose_power_every_s: float = 0.0
    """Now and then one device loses power and comes back with what its flash holds; 0 for never."""


class DeviceTruth(Struct):
    """What one device knows at the end."""

    made: int = 0
    stamps: set[tuple[int, int]] = msgspec.field(default_factory=set)
    receipted: set[tuple[int, int]] = msgspec.field(default_factory=set)
    kept_lost: int = 0
    waiting: int = 0


class FleetTruth(Struct):
    """What the whole fleet knows at the end."""

    devices: dict[str, DeviceTruth]
    published: int = 0
    dropped: int = 0
    poisoned: int = 0
    unmatched: int = 0
    took_s: float = 0.0
    drained_in_s: float = 0.0


class KeptFleet:
    """Drives one `DeviceSession` per device over lean connections; see `device_sim.driver.Listener`."""

    def __init__(self, plan: FleetPlan, chance: Random) -> None:
        self._plan = plan
        self._chance = chance
        self._ids = [DeviceId(device_id) for device_id in plan.passwords]
        self._sessions = [self._power_on(index) for index in range(len(self._ids))]
        self.truth = FleetTruth({device_id: DeviceTruth() for device_id in self._ids})
        parties = [
            Party(
                (index,),
                client_id=device_id,
                user=device_id,
                password=plan.passwords[device_id],
                topics={topics.welcome_topic(device_id): index, topics.receipt_topic(device_id): index},
                framing=Mqtt5(),
            )
            for index, device_id in enumerate(self._ids)
        ]
        self.driver = LeanDriver(
            Address(plan.host, plan.port), parties, self, chance=chance, clock_s=time.monotonic
        )

    def _power_on(self, index: int, before: DeviceSession | None = None) -> DeviceSession:
        identity = Identity(self._ids[index], self._plan.model, "trial-1", Encoding.CBOR)
        remembered = before.remember() if before is not None else None
        return DeviceSession(
            identity, self._chance, ring_size=RING_SIZE, remembered=remembered, now_ms=self._now_ms()
        )

    def _now_ms(self) -> int:
        return int(time.monotonic() * 1000 * self._plan.device_clock_speed)

    # --- what the driver tells -----------------------------------------------------------------------

    def connected(self, device: int) -> None:
        self._carry_out(device, self._sessions[device].connected(self._now_ms()))

    def disconnected(self, device: int, unconfirmed: Sequence[Message]) -> None:
        self._sessions[device].disconnected(self._now_ms())

    def confirmed(self, message: Message, took_s: float, refusal: int) -> None:
        self.truth.unmatched += refusal == NO_MATCHING_SUBSCRIBERS

    def delivered(self, device: int, topic: str, payload: bytes) -> None:
        if topic.endswith("/receipt"):
            known = self.truth.devices[self._ids[device]]
            known.receipted.update((stamp.boot, stamp.seq) for stamp in decode_receipt(payload).stamps)
        self._carry_out(device, self._sessions[device].received(topic, payload, self._now_ms()))

    # --- what the devices do -------------------------------------------------------------------------

    def _carry_out(self, device: int, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Publish):
                self._publish(device, effect)

    def _publish(self, device: int, publish: Publish) -> None:
        copies = 1
        if publish.topic.endswith("/report"):
            report = decode_report(publish.payload)
            assert report.seq is not None
            self.truth.devices[self._ids[device]].stamps.add((report.boot, report.seq))
            copies = self._plan.copies
        for _ in range(copies):
            if self._chance.random() < self._plan.drop_share:
                self.truth.dropped += 1
                continue
            self.truth.published += self.driver.publish(Message(device, publish.topic, publish.payload, None))

    def make_report(self, device: int) -> None:
        """One kept report of this device, and now and then a frame that is none."""
        truth = self.truth.devices[self._ids[device]]
        truth.made += 1
        report = Report(
            keep=True,
            fix=Fix(13_000_000 + truth.made * 500 % 40_000, 1_038_000_000 + device * 1_000, accuracy_m=6.0),
            lock=Lock(Bolt.CLOSED, openings=truth.made // REPORTS_OF_A_USE),
            battery_pct=80,
        )
        self._carry_out(device, self._sessions[device].report(report, self._now_ms()))
        if self._chance.random() < self._plan.poison_share:
            poison = self._chance.choice(POISON)
            topic = topics.report_topic(self._ids[device])
            self.truth.poisoned += self.driver.publish(Message(device, topic, poison, None))

    def tend(self) -> None:
        """Wakes every device whose time has come."""
        now_ms = self._now_ms()
        for device, session in enumerate(self._sessions):
            wakeup_ms = session.next_wakeup_ms()
            if wakeup_ms is not None and wakeup_ms <= now_ms:
                self._carry_out(device, session.woken(now_ms))

    def lose_power(self, device: int) -> None:
        """The device forgets all but its flash, and its connection is cut."""
        self._sessions[device] = self._power_on(device, self._sessions[device])
        self.driver.cut(device, for_s=0.1)

    @property
    def waiting(self) -> int:
        """Kept reports without a receipt, in all devices."""
        return sum(session.unreceipted for session in self._sessions)

    def conclude(self) -> None:
        """Notes what every device is left with."""
        for device_id, session in zip(self._ids, self._sessions, strict=True):
            self.truth.devices[device_id].waiting = session.unreceipted
            self.truth.devices[device_id].kept_lost = session.kept_lost


async def run(plan: FleetPlan) -> FleetTruth:
    """Connects, says READY when every device is welcomed, reports for `seconds`, then drains."""
    fleet = KeptFleet(plan, Random(plan.seed))
    driving = asyncio.create_task(fleet.driver.run())
    try:
        while fleet.driver.connected_count < len(plan.passwords):
            await asyncio.sleep(TICK_S)
        print("READY", flush=True)
        await _report(fleet, plan)
        begin_s = time.monotonic()
        while fleet.waiting and time.monotonic() - begin_s < plan.drain_s:
            fleet.tend()
            await asyncio.sleep(TICK_S)
        fleet.truth.drained_in_s = time.monotonic() - begin_s
        fleet.conclude()
        return fleet.truth
    finally:
        driving.cancel()
        await asyncio.gather(driving, return_exceptions=True)


async def _report(fleet: KeptFleet, plan: FleetPlan) -> None:
    begin_s = time.monotonic()
    made, powers_lost, total = 0, 0, int(plan.rate_per_s * plan.seconds)
    while made < total:
        elapsed_s = time.monotonic() - begin_s
        due = min(total, int(elapsed_s * plan.rate_per_s) + 1)
        for number in range(made, due):
            fleet.make_report(number % len(plan.passwords))
        made = due
        if plan.lose_power_every_s and elapsed_s > (powers_lost + 1) * plan.lose_power_every_s:
            fleet.lose_power(powers_lost % len(plan.passwords))
            powers_lost += 1
        fleet.tend()
        await asyncio.sleep(TICK_S)
    fleet.truth.took_s = time.monotonic() - begin_s


def main() -> None:
    """Reads a FleetPlan from a file, and leaves a FleetTruth in `truth_file`; prints READY and DONE."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("plan_file", type=Path)
    plan = msgspec.json.decode(parser.parse_args().plan_file.read_bytes(), type=FleetPlan)
    truth = uvloop.run(run(plan))
    Path(plan.truth_file).write_bytes(msgspec.json.encode(truth))
    print("DONE", flush=True)


if __name__ == "__main__":
    main()
