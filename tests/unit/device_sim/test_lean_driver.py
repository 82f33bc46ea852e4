"""Laws of many connections, on loopback."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

from device_sim.driver import Address, Message, Party
from device_sim.lean_driver import LeanDriver
from device_sim.packets import Mqtt5, Mqtt311
from firmware_protocol import topics
from firmware_protocol.messages import DeviceId
from tests.support.waiting import until_async
from tests.unit.device_sim.notebook import Notebook
from tests.unit.device_sim.tiny_broker import TinyBroker

IDS = [DeviceId(f"D{number}") for number in range(20)]
PASSWORDS: dict[str, str] = {device_id: f"pw {device_id}" for device_id in IDS}


def parties() -> list[Party]:
    return [
        Party(
            (number,),
            device_id,
            device_id,
            PASSWORDS[device_id],
            {topics.welcome_topic(device_id): number},
            Mqtt311() if number % 3 == 0 else Mqtt5(),
        )
        for number, device_id in enumerate(IDS)
    ]


@asynccontextmanager
async def running(broker: TinyBroker, notebook: Notebook) -> AsyncIterator[LeanDriver]:
    driver = LeanDriver(
        Address("127.0.0.1", broker.port), parties(), notebook, chance=Random(1), clock_s=time.monotonic
    )
    task = asyncio.create_task(driver.run())
    try:
        yield driver
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def report(number: int) -> Message:
    return Message(number, topics.report_topic(IDS[number]), b'{"seq":%d}' % (number + 1), None)


async def test_every_device_has_its_own_connection_and_hears_confirmations() -> None:
    notebook = Notebook()
    async with TinyBroker(dict(PASSWORDS)) as broker, running(broker, notebook) as driver:
        await until_async(lambda: driver.connected_count == len(IDS))
        assert sorted(broker.accepted) == sorted(IDS)
        for number in range(len(IDS)):
            assert driver.publish(report(number))
        await until_async(lambda: len(notebook.acks) == len(IDS))
        assert sorted(broker.reports) == sorted(broker.reports, key=lambda said: said[0])
        assert {device_id for device_id, _ in broker.reports} == set(IDS)


async def test_devices_come_back_by_themselves_and_what_was_out_is_named() -> None:
    notebook = Notebook()
    async with TinyBroker(dict(PASSWORDS)) as broker, running(broker, notebook) as driver:
        await until_async(lambda: driver.connected_count == len(IDS))
        broker.drop_everybody()
        await until_async(lambda: len(notebook.down) == len(IDS))
        await until_async(lambda: driver.connected_count == len(IDS))
        assert len(notebook.up) == 2 * len(IDS)
        assert len(notebook.down) == len(IDS)


async def test_a_cut_device_stays_away_and_the_others_stay() -> None:
    notebook = Notebook()
    async with TinyBroker(dict(PASSWORDS)) as broker, running(broker, notebook) as driver:
        await until_async(lambda: driver.connected_count == len(IDS))
        assert driver.cut(3, for_s=3_600.0)
        await until_async(lambda: notebook.down == [(3, [])])
        assert driver.publish(report(3)) is False
        assert driver.connected_count == len(IDS) - 1


async def test_a_wrong_password_is_counted() -> None:
    wrong = dict(PASSWORDS) | {"D5": "another"}
    async with TinyBroker(wrong) as broker, running(broker, Notebook()) as driver:
        await until_async(lambda: driver.connected_count == len(IDS) - 1 and driver.refused_count > 0)
        assert set(broker.refused) == {"D5"}
