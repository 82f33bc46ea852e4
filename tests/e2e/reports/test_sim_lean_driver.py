"""A thousand devices of the lean driver on a real broker, also across its restart."""

import asyncio
import time
from random import Random

import pytest

from cli.stack import Stack
from device_sim.driver import Address, Message, Party
from device_sim.fleet import Fleet, build_fleet
from device_sim.lean_driver import LeanDriver
from device_sim.packets import Mqtt5, Mqtt311
from firmware_protocol import topics
from tests.support.waiting import until_async
from tests.unit.device_sim.notebook import Notebook

pytestmark = pytest.mark.e2e

DEVICES = 1_000
DEADLINE_S = 60.0
CONNECTS_PER_S = 2_000.0
"""Faster than a fleet: that no more are dialled at once than the broker's listen queue holds is kept anyway."""


def parties(fleet: Fleet) -> list[Party]:
    return [
        Party(
            (number,),
            device.device_id,
            device.device_id,
            device.password,
            {topics.welcome_topic(device.device_id): number, topics.receipt_topic(device.device_id): number},
            Mqtt311() if number % 5 == 0 else Mqtt5(),
        )
        for number, device in enumerate(fleet.devices())
    ]


async def everybody_reports(driver: LeanDriver, notebook: Notebook, fleet: Fleet, *, seq: int) -> None:
    """One report of each device, confirmed by the broker (16: nobody listens in this test)."""
    notebook.acks.clear()
    for number, device_id in enumerate(fleet.device_ids):
        frame = b'{"seq":%d,"battery_pct":50}' % seq
        assert driver.publish(Message(number, topics.report_topic(device_id), frame, None))
    await until_async(lambda: len(notebook.acks) == DEVICES, deadline_s=DEADLINE_S)
    assert {refusal for _, refusal in notebook.acks} <= {0, 16}
    assert {message.device for message, _ in notebook.acks} == set(range(DEVICES))


async def test_a_thousand_devices_connect_report_and_come_back_after_a_restart(stack: Stack) -> None:
    fleet = build_fleet(DEVICES, seed=1, secret=b"lean")
    await asyncio.to_thread(
        stack.broker.set_devices, {device.device_id: device.password for device in fleet.devices()}
    )
    notebook = Notebook()
    address = Address("127.0.0.1", stack.broker.device_port)
    driver = LeanDriver(
        address,
        parties(fleet),
        notebook,
        chance=Random(1),
        clock_s=time.monotonic,
        connects_per_s=CONNECTS_PER_S,
    )
    task = asyncio.create_task(driver.run())
    try:
        await until_async(lambda: driver.connected_count == DEVICES, deadline_s=DEADLINE_S)
        await everybody_reports(driver, notebook, fleet, seq=1)
        await asyncio.to_thread(stack.broker.terminate)
        await until_async(lambda: driver.connected_count == 0, deadline_s=DEADLINE_S)
        await asyncio.to_thread(stack.broker.start)
        await until_async(lambda: driver.connected_count == DEVICES, deadline_s=DEADLINE_S)
        await everybody_reports(driver, notebook, fleet, seq=2)
        assert len(notebook.down) == DEVICES
        assert driver.refused_count == 0
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
