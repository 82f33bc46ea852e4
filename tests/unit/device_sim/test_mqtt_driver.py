"""The aiomqtt driver keeps the same promises for a small fleet."""

import asyncio
import time
from random import Random
from typing import Any

import pytest

from device_sim.driver import Address, Message, Party
from device_sim.mqtt_driver import MAX_DEVICES, MqttDriver
from device_sim.packets import Mqtt5, Mqtt311
from firmware_protocol import topics
from firmware_protocol.messages import DeviceId
from tests.support.waiting import until_async
from tests.unit.device_sim.notebook import Notebook
from tests.unit.device_sim.tiny_broker import TinyBroker

IDS = [DeviceId(f"D{number}") for number in range(4)]


def party(number: int) -> Party:
    device_id = IDS[number]
    framing = Mqtt311() if number % 2 else Mqtt5()
    return Party((number,), device_id, device_id, "pw", {topics.receipt_topic(device_id): number}, framing)


async def test_messages_are_confirmed_answers_heard_and_the_way_back_found() -> None:
    notebook = Notebook()
    async with TinyBroker(dict.fromkeys(IDS, "pw")) as broker:
        driver = MqttDriver(
            Address("127.0.0.1", broker.port),
            [party(number) for number in range(len(IDS))],
            notebook,
            chance=Random(1),
            clock_s=time.monotonic,
        )
        task = asyncio.create_task(driver.run())
        try:
            await until_async(lambda: driver.connected_count == len(IDS))
            frame = b'{"boot":5,"seq":1,"elapsed_ms":0,"keep":true}'
            for number, device_id in enumerate(IDS):
                assert driver.publish(Message(number, topics.report_topic(device_id), frame, None))
            await until_async(lambda: len(notebook.acks) == len(IDS) == len(notebook.heard))
            broker.drop_everybody()
            await until_async(lambda: len(notebook.down) == len(IDS))
            await until_async(lambda: driver.connected_count == len(IDS))
            assert driver.cut(1, for_s=0.2)
            await until_async(lambda: len(notebook.down) == len(IDS) + 1)
            await until_async(lambda: driver.connected_count == len(IDS))
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


class NotedSleeps:
    """asyncio as the driver sees it, whose sleeps are noted and take no time."""

    def __init__(self) -> None:
        self.delays: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, delay_s: float) -> None:
        self.delays.append(delay_s)
        await asyncio.sleep(0)


async def test_dials_become_ever_more_seldom_until_one_ends_in_a_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noted = NotedSleeps()
    monkeypatch.setattr("device_sim.mqtt_driver.asyncio", noted)
    async with TinyBroker({IDS[0]: "another"}) as broker:
        driver = MqttDriver(
            Address("127.0.0.1", broker.port), [party(0)], Notebook(), chance=Random(1), clock_s=lambda: 0.0
        )
        task = asyncio.create_task(driver.run())
        try:
            await until_async(lambda: len(noted.delays) >= 4)
            for attempt, delay_s in enumerate(noted.delays[:4]):
                assert 0.25 * 2**attempt <= delay_s <= 0.5 * 2**attempt
            broker.passwords[IDS[0]] = "pw"
            await until_async(lambda: driver.connected_count == 1)
            before = len(noted.delays)
            broker.drop_everybody()
            await until_async(lambda: len(noted.delays) > before)
            assert noted.delays[before] <= 0.5, "a session was had"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def test_a_large_fleet_is_refused() -> None:
    many = [party(0)] * (MAX_DEVICES + 1)
    with pytest.raises(ValueError):
        MqttDriver(Address("h", 1), many, Notebook(), chance=Random(1), clock_s=lambda: 0.0)
